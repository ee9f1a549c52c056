"""API keys: a public id, which finds the key's entry, and a random secret. The server keeps only the key's SHA-256.

The secret has 256 random bits and cannot be guessed. Slow, salted password hashes exist for secrets that people
choose; here they would protect no better than plain SHA-256.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

PREFIX = "vaekey"  # lets scanners for leaked secrets recognise a key
_KEY = re.compile(rf"{PREFIX}_([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})")
_ENTRY = re.compile(r"([0-9a-f]{12}):sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class KeyHash:
    """What the server keeps of a key."""

    key_id: str
    digest: bytes  # SHA-256 of the whole key

    @staticmethod
    def parse(entry: str) -> "KeyHash":
        """Read an entry of the tenants file. Raises ValueError."""
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise ValueError("must be ID:sha256:DIGEST as `python -m server.keys` prints it")
        return KeyHash(match[1], bytes.fromhex(match[2]))

    def __str__(self) -> str:
        return f"{self.key_id}:sha256:{self.digest.hex()}"

    def matches(self, key: str) -> bool:
        """Whether this is the hash of the key. The time taken does not depend on where they differ."""
        return hmac.compare_digest(self.digest, hashlib.sha256(key.encode()).digest())


def new_key() -> tuple[str, KeyHash]:
    """Make a new key; return it and its hash."""
    key_id = secrets.token_hex(6)
    key = f"{PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
    return key, KeyHash(key_id, hashlib.sha256(key.encode()).digest())


def id_of(key: str) -> str | None:
    """The public id of a key; None if the text does not have a key's form."""
    match = _KEY.fullmatch(key)
    return None if match is None else match[1]
