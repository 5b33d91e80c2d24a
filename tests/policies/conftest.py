"""Staff at the consoles."""

from tests.staff import staff

__all__ = ["staff"]
