"""Whether an artifact was signed by whom the operator trusts: OpenSSF model signing with an elliptic-curve key."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from server.errors import ArtifactError, StartFailed

if TYPE_CHECKING:
    from model_signing import verifying

SIGNATURE = "model.sig"
CheckSignature = Callable[[Path], None]


def unchecked(folder: Path) -> None:
    """For servers that ask for no signature."""


def of(key: str) -> CheckSignature:
    """The check for a setting that may be empty. Raises StartFailed."""
    return checked_by(Path(key)) if key else unchecked


def checked_by(key: Path) -> CheckSignature:
    """A check of artifacts against a public key, offline. Raises StartFailed if there can be none."""
    try:
        import model_signing  # noqa: F401  # an extra
    except ImportError as error:
        needed = "--model-signature-key needs the package model-signing: pip install 'vaeserve[signing]'"
        raise StartFailed(needed) from error
    try:
        _verifier(key)
    except (OSError, ValueError) as error:
        raise StartFailed(f"--model-signature-key: {key}: is no public key in PEM that can be read") from error

    def check(folder: Path) -> None:
        """Raises ArtifactError unless every file is what the key signed, and no file is there beside them."""
        signature = folder / SIGNATURE
        if not signature.is_file():
            raise ArtifactError(f"{SIGNATURE}: is missing, and --model-signature-key asks for it")
        try:
            # Anew each time: what it finds out about one signature it would keep for the next.
            _verifier(key).verify(folder, signature)
        except Exception as error:  # the library promises no kinds: whatever it says is no
            raise ArtifactError(f"{SIGNATURE}: does not prove this artifact: {str(error)[:200]}") from error

    return check


def _verifier(key: Path) -> "verifying.Config":
    from model_signing import verifying

    config = verifying.Config()  # type: ignore[no-untyped-call]
    return config.use_elliptic_key_verifier(public_key=key)
