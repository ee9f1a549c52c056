"""A rollout keeps a catalog in line with its folder; the tests control the clock and the slow work."""

import gc
import shutil
import weakref
from pathlib import Path

import pytest
from support.artifacts import write_artifact

from server.catalog.catalog import Catalog
from server.catalog.loader import Plan
from server.catalog.rollout import Rollout
from server.catalog.routing import Route
from server.core.batching.batcher import Batcher
from server.core.batching.scheduler import Scheduler
from server.core.batching.ticket import Ticket, drive
from server.core.call import Call
from server.core.model import Entry, Execution
from server.engine.autotune.cache import CalibrationCache
from server.engine.autotune.choose import ExecutionOverrides
from server.engine.graph import LoadedGraph
from server.errors import NotFound, Unavailable

PLAN = Plan(
    device="cpu",
    overrides=ExecutionOverrides(rows=4, executors=1, threads=1),
    cores=1,
    cache=CalibrationCache(None, tell=print),
)
WINDOW = 60.0
CALL = Call(float("inf"))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    for seed in (1, 2):
        write_artifact(folder / str(seed), seed=seed)
    return folder


class Server:
    """A rollout whose slow work waits until the test runs it; implements Observer."""

    def __init__(self, folder: Path, *, draw: float = 0.5) -> None:
        self.now = 0.0
        self.told: list[tuple[str, ...]] = []
        self.waiting: list[tuple[Ticket, object]] = []
        self.batchers: list[Batcher] = []
        self.catalog = Catalog(draw=lambda: draw, clock=lambda: self.now)
        self.rollout = Rollout(
            folder, self.catalog, default_model="", window=WINDOW, plan=PLAN,
            make_batcher=self._make_batcher, run=self._run, observer=self,
        )  # fmt: skip
        self.rollout.start()

    def _make_batcher(self, graph: LoadedGraph, execution: Execution, model: str, version: str, name: str) -> Batcher:
        scheduler = Scheduler(max_batch_rows=execution.max_batch_rows, max_queued_rows=100, max_queued_bytes=10**6)
        self.batchers.append(Batcher(graph, scheduler=scheduler))
        return self.batchers[-1]

    def _run(self, work):
        ticket = Ticket()
        self.waiting.append((ticket, work))
        return ticket

    def let_through(self) -> None:
        """Run the waiting work, and the work that results from it."""
        while self.waiting:
            ticket, work = self.waiting.pop(0)
            try:
                ticket.succeed(work())
            except Exception as error:
                ticket.fail(error)

    def look(self, *, forced: bool = True, finish: bool = True) -> None:
        drive(self.rollout.align(self.rollout.scan(), forced=forced))
        if finish:
            self.let_through()

    def states(self) -> dict[str, str]:
        return {entry.version: entry.state for entry in self.catalog.entries()}

    def answering(self, version: str = "", label: str = "") -> str:
        with self.catalog.lease("m", version, label) as model:
            return model.version

    def ready(self, entry: Entry) -> None:
        self.told.append(("ready", entry.version))

    def refused(self, entry: Entry, *, error: Exception) -> None:
        self.told.append(("refused", entry.version, entry.reason))

    def unloaded(self, name: str, version: str) -> None:
        self.told.append(("unloaded", version))

    def forgotten(self, name: str, version: str) -> None:
        self.told.append(("forgotten", version))

    def routed(self, name: str, route: Route | None) -> None:
        self.told.append(("routed", route.stable) if route else ("gone", name))

    def complaint(self, reason: str) -> None:
        self.told.append(("complaint", reason))


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made / "1", tmp_path / "m" / "1")
    return tmp_path


@pytest.fixture
def server(folder: Path):
    server = Server(folder)
    yield server
    for batcher in server.batchers:
        batcher.close()


def add(made: Path, folder: Path, version: str) -> Path:
    return Path(shutil.copytree(made / "2", folder / "m" / version))


def test_the_old_version_answers_until_the_new_one_is_ready_and_then_the_new_one(server, made, folder):
    add(made, folder, "2")
    server.look(finish=False)
    assert (server.answering(), server.states()) == ("1", {"2": "loading", "1": "ready"})
    with pytest.raises(Unavailable, match="m version 2 is loading"):
        server.answering("2")
    server.let_through()
    assert (server.answering(), server.states()) == ("2", {"2": "ready", "1": "ready"})
    assert server.told[-2:] == [("ready", "2"), ("routed", "2")]


def test_a_version_is_closed_only_after_the_last_call_that_uses_it(server, made, folder):
    add(made, folder, "2")
    with server.catalog.lease("m", "", "") as model:
        server.look()
        shutil.rmtree(folder / "m" / "1")
        server.look()
        assert server.states() == {"2": "ready"}
        assert ("unloaded", "1") not in server.told
        assert drive(model.vae.sample(rows=1, seed=0, first_row=0, temperature=1.0, call=CALL)).wait(30)
        assert all(batcher.alive for batcher in server.batchers)
    server.let_through()
    assert server.told[-1] == ("unloaded", "1")
    assert [batcher.alive for batcher in server.batchers] == [False, False, True, True]


def test_files_are_tried_only_after_two_scans_found_them_the_same(server, made, folder):
    path = add(made, folder, "2")
    card = path / "MODEL_CARD.md"
    text = card.read_text()
    card.write_text("half of")
    server.look(forced=False)
    assert server.states() == {"1": "ready"}
    card.write_text(text)
    server.look(forced=False)
    assert server.states() == {"1": "ready"}
    server.look(forced=False)
    assert server.answering() == "2"


def test_a_refused_version_is_tried_again_when_its_files_change_and_not_before(server, made, folder):
    path = add(made, folder, "2")
    golden = (path / "golden.npz").read_bytes()
    (path / "golden.npz").write_bytes(b"")
    server.look()
    server.look()
    refusals = [told for told in server.told if told[0] == "refused"]
    assert len(refusals) == 1
    assert refusals[0][2].startswith("golden.npz: sha256 is")
    (path / "golden.npz").write_bytes(golden)
    server.look()
    assert server.answering() == "2"


def test_files_that_change_under_a_loaded_version_are_loaded_beside_it_or_refused(server, made, folder):
    before = server.catalog.entries()[0].model.spec.digest
    (folder / "m" / "1" / "decoder.onnx").write_bytes(b"")
    server.look()
    (entry,) = server.catalog.entries()
    assert (entry.state, entry.model.spec.digest) == ("ready", before)
    assert entry.reason.startswith("decoder.onnx: sha256 is")
    shutil.rmtree(folder / "m" / "1")
    shutil.copytree(made / "2", folder / "m" / "1")
    server.look()
    (entry,) = server.catalog.entries()
    assert (entry.state, entry.reason) == ("ready", "")
    assert entry.model.spec.digest != before
    assert ("unloaded", "1") not in server.told, "version 1 is in memory"


def test_an_unneeded_version_stays_for_the_window_after_its_last_call(server, made, folder):
    add(made, folder, "2")
    server.look()
    server.now = 50.0
    server.answering("1")
    server.now = 50.0 + WINDOW - 1
    server.look()
    assert server.states() == {"2": "ready", "1": "ready"}
    assert server.rollout.idle_at() == 50.0 + WINDOW
    server.now = 50.0 + WINDOW
    server.look()
    assert server.states() == {"2": "ready", "1": "unloaded"}
    shutil.rmtree(folder / "m" / "2")
    server.look(finish=False)
    assert server.answering() == "2", "until the one before it is loaded again"
    server.let_through()
    assert (server.answering(), server.states()) == ("1", {"1": "ready"})


def test_a_broken_models_toml_keeps_the_last_policy_and_is_reported_once(server, made, folder):
    add(made, folder, "2")
    (folder / "models.toml").write_text('[models.m]\nstable = "1"\ncanary = "2"\ncanary_weight = 0.6\n')
    server.look()
    assert (server.answering(), server.answering(label="stable")) == ("2", "1")  # 0.5 is drawn
    (folder / "models.toml").write_text("[models.m")
    server.look()
    server.look()
    assert (server.answering(), server.answering(label="stable")) == ("2", "1")
    assert [told[0] for told in server.told].count("complaint") == 1
    assert "cannot be read as TOML" in server.rollout.complaint
    (folder / "models.toml").unlink()
    server.look()
    assert (server.answering(), server.rollout.complaint) == ("2", "")
    with pytest.raises(NotFound, match="m has no canary"):
        server.answering(label="canary")


def test_a_removed_model_is_forgotten_but_an_empty_folder_removes_nothing(server, made, folder):
    shutil.copytree(made / "2", folder / "n" / "1")
    server.look()
    shutil.rmtree(folder / "m")
    server.look()
    assert server.told[-3:] == [("forgotten", "1"), ("gone", "m"), ("unloaded", "1")]
    with pytest.raises(NotFound, match="no model 'm'; there are n"):
        server.answering()
    shutil.rmtree(folder / "n")
    server.look()
    assert [entry.name for entry in server.catalog.entries()] == ["n"]
    assert server.told[-1][0] == "complaint"


def test_an_unloaded_version_leaves_memory_without_the_garbage_collector(server, made, folder):
    gone = [weakref.ref(batcher) for batcher in server.batchers]
    server.batchers.clear()
    add(made, folder, "2")
    server.look()
    shutil.rmtree(folder / "m" / "1")
    gc.disable()
    try:
        server.look()
        assert ("unloaded", "1") in server.told
        assert [ref() for ref in gone] == [None, None]
    finally:
        gc.enable()
