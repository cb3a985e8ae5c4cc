"""Fixtures of the end-to-end tests, for what somebody does by accident or on purpose."""

from tests.e2e.conftest import counted, make_project, project, session_name

__all__ = ["counted", "make_project", "project", "session_name"]
