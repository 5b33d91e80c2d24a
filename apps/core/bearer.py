"""Keys of other systems: `armor_<prefix>_<secret>`. The prefix finds the row, which keeps the secret's hash only."""

import hashlib
import hmac
import secrets

MARK = "armor"


def issue() -> tuple[str, str, str]:
    """A new key: its prefix, the text that is shown once, and the hash to keep."""
    prefix, secret = secrets.token_hex(5), secrets.token_hex(24)
    return prefix, f"{MARK}_{prefix}_{secret}", digest(secret)


def parts(text: str) -> tuple[str, str]:
    """Prefix and secret of a text; ("", "") where it is no key."""
    mark, _first, rest = text.partition("_")
    prefix, _second, secret = rest.partition("_")
    return (prefix, secret) if mark == MARK and secret and "\x00" not in prefix else ("", "")


def digest(secret: str) -> str:
    """What is kept of a secret."""
    # It has 192 random bits: a slow password hash would add nothing but time to every request.
    return hashlib.sha256(secret.encode()).hexdigest()


def is_right(secret_hash: str, secret: str) -> bool:
    """Whether this is the secret whose hash was kept."""
    return hmac.compare_digest(secret_hash, digest(secret))
