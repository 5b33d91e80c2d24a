"""Staff who are signed in."""

from tests.staff import staff

__all__ = ["staff"]
