"""Makes the receiver of incoming calls known, wherever work is done."""

from apps.callcenters import incoming

__all__ = ["incoming"]
