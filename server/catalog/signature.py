"""Checks an artifact's signature with the operator's public key (OpenSSF model signing, elliptic curves)."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from server.errors import ArtifactError, StartFailed

if TYPE_CHECKING:
    from model_signing import verifying

SIGNATURE = "model.sig"
CheckSignature = Callable[[Path], None]  # takes an artifact's folder; raises ArtifactError


def unchecked(folder: Path) -> None:
    """The check of servers that require no signature: accepts every artifact."""


def of(key: str) -> CheckSignature:
    """The check for the setting model_signature_key, which may be empty. Raises StartFailed."""
    return check_with(Path(key)) if key else unchecked


def check_with(key: Path) -> CheckSignature:
    """A check with a public key; it works offline. Raises StartFailed without model-signing or a readable key."""
    try:
        import model_signing  # noqa: F401  # an extra
    except ImportError as error:
        needed = "--model-signature-key needs the package model-signing: pip install 'vaeserve[signing]'"
        raise StartFailed(needed) from error
    try:
        _verifier(key)
    except (OSError, ValueError) as error:
        raise StartFailed(f"--model-signature-key: {key}: is not a readable public key in PEM format") from error

    def check(folder: Path) -> None:
        """Raises ArtifactError unless the folder holds exactly the files that were signed with the key."""
        signature = folder / SIGNATURE
        if not signature.is_file():
            raise ArtifactError(f"{SIGNATURE}: is missing; --model-signature-key requires it")
        try:
            # A new verifier each time: it would keep state of one signature for the next.
            _verifier(key).verify(folder, signature)
        except Exception as error:  # the library documents no error types; any error is a refusal
            raise ArtifactError(f"{SIGNATURE}: does not prove this artifact: {str(error)[:200]}") from error

    return check


def _verifier(key: Path) -> "verifying.Config":
    from model_signing import verifying

    config = verifying.Config()  # type: ignore[no-untyped-call]
    return config.use_elliptic_key_verifier(public_key=key)
