"""A private temporary folder stays as long as its process lives, also after an exec, and is removed afterwards."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from server.envoy_process import private_dir

# Makes a folder, tells where, and becomes a program that lives as long as its input is open.
HOLDER = """
import os
from server.envoy_process import private_dir
print(private_dir.make(), flush=True)
os.execvp("cat", ["cat"])
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@contextmanager
def held(temporary: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """A folder of another process, and how to kill that."""
    environment = {**os.environ, "TMPDIR": str(temporary)}
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None

        def kill() -> None:
            process.kill()
            process.wait()

        yield Path(process.stdout.readline().strip()), kill
        kill()


def test_a_folder_stays_while_its_process_lives_and_goes_once_that_was_killed(temporary):
    with held(temporary) as (folder, kill):
        (folder / "file").touch()
        private_dir.clear()
        assert (folder / "file").exists()
        kill()
        private_dir.clear()
        assert not folder.exists()


def test_a_process_does_not_clear_its_own(temporary):
    folder = private_dir.make()
    private_dir.clear()
    assert folder.is_dir()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_was_not_made_here_stays(temporary):
    elsewhere = temporary / "elsewhere"
    for folder in (elsewhere, temporary / "vaeserve-without-a-lock", temporary / "vaeserve-odd"):
        folder.mkdir()
    (elsewhere / "lock").touch()
    (temporary / "vaeserve-link").symlink_to(elsewhere)
    (temporary / "vaeserve-odd" / "lock").symlink_to(elsewhere / "lock")
    (temporary / "vaeserve-file").touch()
    before = sorted(temporary.rglob("*"))
    private_dir.clear()
    assert sorted(temporary.rglob("*")) == before


def test_a_folder_of_another_user_stays(temporary, monkeypatch):
    with held(temporary) as (folder, kill):
        kill()
        monkeypatch.setattr("os.geteuid", lambda: folder.stat().st_uid + 1)
        private_dir.clear()
        assert folder.is_dir()
