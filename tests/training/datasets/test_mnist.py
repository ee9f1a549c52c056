"""MNIST is found or downloaded, and verified; otherwise the command ends in one line that says what to do."""

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from training.datasets import mnist
from training.errors import TrainingError


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment without a copy of MNIST."""
    monkeypatch.chdir(tmp_path)
    return {"XDG_CACHE_HOME": str(tmp_path / "cache")}


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """A web server over tmp_path/served."""
    (tmp_path / "served").mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path / "served"))
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_without_a_network_or_a_copy_it_says_where_to_put_one(nowhere: dict[str, str]) -> None:
    with pytest.raises(TrainingError) as caught:
        mnist.read(nowhere, mirrors=("http://127.0.0.1:9/",))
    message = str(caught.value)
    assert "cannot be downloaded (http://127.0.0.1:9/: " in message
    assert "put its four .gz files into" in message
    assert "--data digits" in message


def test_a_download_that_is_not_mnist_is_refused_and_not_kept(
    nowhere: dict[str, str], mirror: str, tmp_path: Path
) -> None:
    (tmp_path / "served" / "train-images-idx3-ubyte.gz").write_bytes(b"an error page")
    with pytest.raises(TrainingError, match=r"sent something else than train-images-idx3-ubyte\.gz"):
        mnist.read(nowhere, mirrors=(mirror,))
    assert not list((tmp_path / "cache").rglob("*.gz"))


def test_a_verified_download_is_kept_and_read_from_the_cache(
    nowhere: dict[str, str], mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small files in MNIST's place, with their own checksums.
    import gzip
    import hashlib
    import struct

    images = struct.pack(">HBB3I", 0, 8, 3, 36, 2, 2) + bytes(range(144))
    labels = struct.pack(">HBB1I", 0, 8, 1, 36) + bytes(36)
    contents = {name: gzip.compress(images if "images" in name else labels) for name in mnist.FILES}
    for name, content in contents.items():
        (tmp_path / "served" / name).write_bytes(content)
    monkeypatch.setattr(
        mnist, "FILES", {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    )
    fetched = mnist.read(nowhere, mirrors=("http://127.0.0.1:9/", mirror))
    assert (fetched.name, len(fetched.train)) == ("mnist", 36)
    assert mnist.read(nowhere, mirrors=()).train.rows.equal(fetched.train.rows)


def test_a_local_copy_with_another_checksum_is_refused(nowhere: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "mnist"
    folder.mkdir(parents=True)
    for name in mnist.FILES:
        (folder / name).write_bytes(b"altered")
    with pytest.raises(TrainingError, match=r"train-images-idx3-ubyte.gz: sha256 is .*; delete it and run again"):
        mnist.read({"VAESERVE_DATA": str(tmp_path / "mine")})
