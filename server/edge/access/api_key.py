"""API keys: a public id, which finds the key's entry, and a random secret, of which only a digest is kept.

The secret has 256 random bits, so there is nothing to guess and nothing that a slow, salted password hash would
protect better than plain SHA-256: those exist for secrets that people choose.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

PREFIX = "vaekey"  # lets scanners for leaked secrets know one when they see it
_KEY = re.compile(rf"{PREFIX}_([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})")
_ENTRY = re.compile(r"([0-9a-f]{12}):sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class KeyHash:
    """What the server keeps of a key."""

    key_id: str
    digest: bytes  # SHA-256 of the whole key

    @staticmethod
    def parse(entry: str) -> "KeyHash":
        """From its line in the tenants' file. Raises ValueError."""
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise ValueError("must be ID:sha256:DIGEST as `python -m server.keys` prints it")
        return KeyHash(match[1], bytes.fromhex(match[2]))

    def __str__(self) -> str:
        return f"{self.key_id}:sha256:{self.digest.hex()}"

    def matches(self, key: str) -> bool:
        """Whether this is the hash of the key, in a time that does not depend on how nearly."""
        return hmac.compare_digest(self.digest, hashlib.sha256(key.encode()).digest())


def new_key() -> tuple[str, KeyHash]:
    """A key that nobody had before, and what to keep of it."""
    key_id = secrets.token_hex(6)
    key = f"{PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
    return key, KeyHash(key_id, hashlib.sha256(key.encode()).digest())


def id_of(key: str) -> str | None:
    """The public id of a key; None if it is not written like one."""
    match = _KEY.fullmatch(key)
    return None if match is None else match[1]
