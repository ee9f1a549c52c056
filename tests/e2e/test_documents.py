"""What README and docs tell a reader to type works as it stands: commands, Python, and the tutorial from end to end."""

import contextlib
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.documents import DOCUMENTS, ROOT, Block, blocks, commands, name_of
from support.server import ServerProcess, server

pytestmark = pytest.mark.e2e
BIN = Path(sys.executable).parent

# Commands that no test here runs, and why; the first that matches counts. Others are run, in order, by document.
NOT_RUN = {
    r"make (setup|lock)|pip install|npm install": "installs",
    r"make (demo|serve)\b": "run by test_client.py and below, on ports of their own",
    r"make (test|test-.*|lint|format|proto|clean)\b": "this is it, or changes the checkout",
    r"make docs\b": "built by contract/test_site.py",
    r"\.venv/bin/python docs/_ext/generated\.py": "run by contract/test_generated.py",
    r"make( -C)? (train|bench|compose|chaos|soak)|bench/loadgen/build": "minutes",
    r"python -m (bench|training)\b": "minutes, but for those of the tutorial; verbs are run by tests/training",
    r"torchrun|tensorboard": "run by tests/training, or shows a page",
    r"docker|grpcurl|kill": "needs what may not be installed, or the reader's own shell",
    r"python -m server --models exported": "takes the fixed port; run by the tutorial on another",
    r"python -m server --profile production": "needs certificates; conformance/test_tls.py runs such a server",
    r"model_signing": "needs a key that stays; run by tests/support/signer.py's users",
    r"\.venv/bin/python -m pytest": "this is it",
    r"vaeserve health --target HOST": "a placeholder for a host",
    r"vaeserve encode photos/|vaeserve reconstruct .*photos/": "the reader's own pictures",
}
SERVED = (
    "README.md",
    "docs/how-to/grpc-shell.md",
    "docs/how-to/http.md",
    "docs/how-to/operate.md",
    "docs/how-to/secure.md",
    "docs/reference/command-line.md",
)


def why_not(command: str) -> str | None:
    return next((reason for pattern, reason in NOT_RUN.items() if re.match(pattern, command)), None)


def runnable(document: Path) -> list[str]:
    return [command for command in commands(document) if why_not(command) is None]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the checkout to those who read it, and may be written to."""
    for name in ("proto", "exported", "examples", "server", "vaeserve", "training"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv").symlink_to(BIN.parent)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")
    return tmp_path


def aimed(text: str, process: ServerProcess) -> str:
    """The text with this server's addresses in place of the usual ones."""
    text = text.replace("http://127.0.0.1:9464/metrics", process.metrics_url)
    return text.replace("127.0.0.1:50051", process.target)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_is_run_or_has_a_reason(document: Path):
    """A new document with commands that could run is named in SERVED."""
    assert name_of(document) in SERVED or runnable(document) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVED)
def test_commands_work(name: str, shipped: ServerProcess, workplace: Path):
    asked = runnable(ROOT / name)
    for command in asked:
        expected = re.search(r"# exits with (\d+)", command)
        ended = subprocess.run(
            ["bash", "-c", aimed(command, shipped)], cwd=workplace, capture_output=True, text=True, check=False,
            env={**os.environ, "VAESERVE_TARGET": shipped.target},
        )  # fmt: skip
        assert ended.returncode == (int(expected[1]) if expected else 0), f"{command}\n{ended.stdout}\n{ended.stderr}"
    assert asked


def test_make_serve_serves(tmp_path: Path):
    arguments = ["-o", ".venv/.serve", "serve", "ARGS=--port 0 --metrics-port 0 --log-format json"]
    made = subprocess.Popen(["make", *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert made.stderr is not None
    try:
        ready = next(line for line in made.stderr if '"event": "ready"' in line)
        target = f"127.0.0.1:{json.loads(ready)['port']}"
        health = subprocess.run(
            [BIN / "vaeserve", "health", "--target", target], capture_output=True, text=True, check=True
        )
        assert health.stdout == "SERVING\n"
    finally:
        os.killpg(made.pid, signal.SIGTERM)
        made.stderr.read()
        made.wait()
        made.stderr.close()


@pytest.mark.parametrize("name", ["README.md"])
def test_python_works(name: str, shipped: ServerProcess, workplace: Path):
    pieces = [block for block in blocks(ROOT / name) if block.language == "python"]
    assert pieces
    scope: dict[str, object] = {}
    for piece in pieces:
        run(piece, aimed(piece.text, shipped), ROOT / name, scope)


def test_the_quickstart_works(shipped: ServerProcess, workplace: Path):
    text = aimed((ROOT / "examples" / "quickstart.py").read_text(), shipped)
    ended = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "as expected: items.shape" in ended.stdout
    assert (workplace / "samples.png").exists()


def run(block: Block, text: str, document: Path, scope: dict[str, object]) -> str:
    """Execute a piece of Python as if it stood in its document; what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile("\n" * (block.line - 1) + text, document, "exec"), scope)  # noqa: S102 - our own documents
    return printed.getvalue()


class Reader:
    """Who follows the tutorial: names last from cell to cell, a server runs in the background."""

    def __init__(self, document: Path, servers: contextlib.ExitStack) -> None:
        self._document, self._servers = document, servers
        self._scope: dict[str, object] = {}
        self._printed = ""
        self._server: ServerProcess | None = None

    def follow(self, block: Block) -> None:
        if block.language == "python":
            text = aimed(block.text, self._server) if self._server else block.text
            self._printed = run(block, text, self._document, self._scope)
        elif block.language == "text":
            assert numbers_aside(self._printed) == numbers_aside(block.text), f"{self._document.name}:{block.line}"
        else:
            for command in block.text.splitlines():
                self._type(command)

    def _type(self, command: str) -> None:
        if command == "kill %1":
            assert self._server
            assert self._server.terminate() == 0
        elif command == "python -m server --models exported &":
            self._server = self._servers.enter_context(server(Path("exported")))
        else:
            subprocess.run([sys.executable, *shlex.split(command)[1:]], check=True)


@pytest.mark.slow
def test_the_tutorial_works_from_end_to_end(workplace: Path):
    """Its cells in order; outputs agree but for the numbers in them."""
    (workplace / "exported").unlink()
    document = ROOT / "docs" / "tutorials" / "search.md"
    with contextlib.ExitStack() as servers:
        reader = Reader(document, servers)
        for block in blocks(document):
            reader.follow(block)


def numbers_aside(text: str) -> str:
    return re.sub(r"\d+", "#", text)
