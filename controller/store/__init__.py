"""What the controller remembers between passes. All of it can be lost: see ``docs/architecture.md``."""
