"""Signs artifacts as an operator would."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import hashing, signing

from server.catalog.signature import SIGNATURE


class Signer:
    """A pair of keys."""

    def __init__(self, folder: Path, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        self.private, self.public = folder / f"{name}.key", folder / f"{name}.pub"
        self.private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        self.public.write_bytes(
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )

    def sign(self, artifact: Path) -> None:
        config = signing.Config().use_elliptic_key_signer(private_key=self.private)
        file = artifact / SIGNATURE
        config.set_hashing_config(hashing.Config().set_ignored_paths(paths=[file])).sign(artifact, file)
