"""The records of a lease as text: read back as they were written, and damaged or later ones told apart."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model.leases import (
    Lease,
    Ownership,
    Spot,
    lease_text,
    owner_text,
    read_lease,
    read_owner,
)
from controller.model.versions import NewerVersionError

WORDS = st.text(min_size=1, max_size=30)
SPOTS = st.builds(Spot, address=WORDS, path=st.text(max_size=20), branch=st.text(max_size=20))


NAMED = st.dictionaries(WORDS, WORDS)


@given(st.builds(Lease, instance=WORDS, spot=SPOTS, since=st.text(), accounts=NAMED, given=NAMED))
def test_a_lease_is_read_back(lease: Lease) -> None:
    """Every text in it, whatever it holds."""
    assert read_lease(lease_text(lease)) == lease


@given(st.builds(Ownership, instance=WORDS, spot=SPOTS, account=WORDS, controller=st.text(), since=st.text()))
def test_an_owner_is_read_back(owner: Ownership) -> None:
    """It is one line: the cluster's script reads no more."""
    text = owner_text(owner)
    assert "\n" not in text
    assert owner_text(read_owner(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", "{}", "\x00", "[" * 100_000),
        *('{"version": 0}', '{"version": "1"}', '{"version": 1}'),
        '{"version": 1, "instance": 7, "address": "x"}',
        '{"version": 1, "instance": "x", "address": ""}',
    ],
)
def test_a_damaged_record_is_said_to_be(text: str) -> None:
    """Never read as something else, and never a crash."""
    for read in (read_lease, read_owner):
        with pytest.raises(ValueError, match=r"."):
            read(text)


def test_a_later_version_is_told_from_damage() -> None:
    """Keys that are not known are passed over, a later version is not."""
    document = {"version": 1, "instance": "lab-1", "address": "git.example.org/lab", "account": "ada", "more": [1]}
    assert read_lease(json.dumps(document)).instance == read_owner(json.dumps(document)).instance == "lab-1"
    for read in (read_lease, read_owner):
        with pytest.raises(NewerVersionError):
            read(json.dumps({**document, "version": 2}))
