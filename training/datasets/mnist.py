"""The reader of MNIST: it finds a local copy or downloads one, and verifies the checksums of both."""

import hashlib
import secrets
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from training import atomic
from training.datasets import idx
from training.datasets.dataset import Source
from training.errors import TrainingError

FILES = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
TIMEOUT = 30.0  # seconds without an answer


def read(environment: Mapping[str, str], *, mirrors: tuple[str, ...] = MIRRORS) -> Source:
    """Read the first complete copy of $VAESERVE_DATA/mnist, ../shared/data/mnist and the cache, or download one.

    A download goes into the cache. Raises TrainingError if a file has another checksum or cannot be downloaded.
    """
    cache = _cache(environment)
    places = [Path("../shared/data/mnist"), cache]
    if "VAESERVE_DATA" in environment:
        places.insert(0, Path(environment["VAESERVE_DATA"]) / "mnist")
    folder = next((place for place in places if all((place / name).is_file() for name in FILES)), None)
    if folder is None:
        folder = cache
        for name in FILES:
            if not (folder / name).is_file():
                _download(folder / name, mirrors)
    for name, expected in FILES.items():
        got = _digest((folder / name).read_bytes())
        if got != expected:
            raise TrainingError(
                f"{folder / name}: sha256 is {got[:12]}..., MNIST's is {expected[:12]}...; delete it and run again"
            )
    return replace(idx.read_folder(folder), name="mnist")


def _cache(environment: Mapping[str, str]) -> Path:
    if "VAESERVE_DATA" in environment:
        return Path(environment["VAESERVE_DATA"]) / "mnist"
    base = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "vaeserve" / "mnist"


def _download(file: Path, mirrors: tuple[str, ...]) -> None:
    reasons = []
    for mirror in mirrors:
        try:
            with urllib.request.urlopen(mirror + file.name, timeout=TIMEOUT) as response:  # noqa: S310  fixed https URLs
                content = response.read()
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            reasons.append(f"{mirror}: {error.reason if isinstance(error, urllib.error.URLError) else error}")
            continue
        if _digest(content) == FILES[file.name]:
            _write_whole(file, content)
            return
        reasons.append(f"{mirror}: sent something else than {file.name}")
    raise TrainingError(
        f"MNIST is not here and cannot be downloaded ({'; '.join(reasons)}); put its four .gz files into "
        f"{file.parent}, or train on --data digits, which needs no network"
    )


def _write_whole(file: Path, content: bytes) -> None:
    # Several processes, or containers that share a cache, may download the same file at once.
    atomic.replace(file, content, writer=f".{secrets.token_hex(4)}")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
