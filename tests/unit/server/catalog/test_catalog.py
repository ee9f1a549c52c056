"""Models are found on disk, verified one by one, and looked up by name."""

from pathlib import Path

import pytest
from support.artifacts import write_artifact

from server import artifact
from server.catalog import loader
from server.catalog.catalog import Catalog
from server.catalog.rollout import Rollout
from server.catalog.routing import Route
from server.core.batching.batcher import Batcher
from server.core.batching.scheduler import Scheduler
from server.core.likelihood import Gaussian
from server.core.model import Entry, Execution, Model
from server.engine.autotune.cache import CalibrationCache
from server.engine.autotune.choose import ExecutionOverrides
from server.engine.graph import LoadedGraph
from server.errors import ArtifactError, InvalidInput, NotFound, Unavailable

PLAN = loader.Plan(
    device="cpu",
    overrides=ExecutionOverrides(rows=4, executors=1, threads=1),
    cores=1,
    cache=CalibrationCache(None, tell=print),
)


def make_batcher(graph: LoadedGraph, execution: Execution, model: str, version: str, name: str) -> Batcher:
    limits = {"max_queued_rows": 100, "max_queued_bytes": 10**6}
    return Batcher(graph, scheduler=Scheduler(max_batch_rows=execution.max_batch_rows, **limits))


class Reported:
    """Records the versions that were loaded or refused."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def ready(self, entry: Entry) -> None:
        self.entries.append(entry)

    def refused(self, entry: Entry, *, error: Exception) -> None:
        self.entries.append(entry)

    def routed(self, name: str, route: Route | None) -> None:
        pass


def load(folder: Path, *, default_model: str = "") -> tuple[Catalog, list[Entry]]:
    catalog, reported = Catalog(), Reported()
    Rollout(
        folder,
        catalog,
        default_model=default_model,
        window=600.0,
        plan=PLAN,
        make_batcher=make_batcher,
        run=None,
        observer=reported,
    ).start()
    return catalog, reported.entries


def find(catalog: Catalog, name: str, version: str) -> Model:
    with catalog.lease(name, version) as model:
        return model


def test_the_newest_version_is_the_default_by_number_not_by_letter(tmp_path):
    for version in ("2", "10", "9"):
        write_artifact(tmp_path / "m" / version)
    models, _ = load(tmp_path)
    assert find(models, "", "").version == "10"
    assert find(models, "m", "9").version == "9"
    assert [(e.version, e.is_default) for e in models.entries()] == [("10", True), ("9", False), ("2", False)]


def test_a_broken_version_is_listed_with_its_reason_and_the_one_before_it_serves(tmp_path):
    write_artifact(tmp_path / "m" / "1")
    (write_artifact(tmp_path / "m" / "2") / "decoder.onnx").unlink()
    models, reported = load(tmp_path)
    assert find(models, "m", "").version == "1"
    broken = models.entries()[0]
    assert (broken.version, broken.state, broken.is_default) == ("2", "failed", False)
    assert broken.reason == "decoder.onnx: listed in SHA256SUMS but missing"
    assert [entry.version for entry in reported] == ["2", "1"]
    with pytest.raises(Unavailable):
        find(models, "m", "2")


def test_of_several_models_one_must_be_named_unless_there_is_a_default(tmp_path):
    for name in ("a", "b"):
        write_artifact(tmp_path / name / "1")
    models, _ = load(tmp_path)
    with pytest.raises(InvalidInput, match="is needed: there are a, b"):
        find(models, "", "")
    preferring, _ = load(tmp_path, default_model="b")
    assert find(preferring, "", "").name == "b"


def test_the_setting_overrules_the_default_model_of_models_toml(tmp_path):
    for name in ("a", "b"):
        write_artifact(tmp_path / name / "1")
    (tmp_path / "models.toml").write_text('default = "b"\n')
    models, _ = load(tmp_path)
    assert find(models, "", "").name == "b"
    overruled, _ = load(tmp_path, default_model="a")
    assert find(overruled, "", "").name == "a"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("default = ", "cannot be read as TOML"),
        ("default = 3", "default is 3; it must be the name of a model"),
        ('defualt = "m"', "unknown key 'defualt'; allowed: default, models"),
        ('default = "x"', "default is 'x'; allowed: m"),
    ],
)
def test_a_wrong_models_toml_is_an_error_that_says_why(tmp_path, text, complaint):
    write_artifact(tmp_path / "m" / "1")
    (tmp_path / "models.toml").write_text(text)
    with pytest.raises(ArtifactError, match=complaint):
        load(tmp_path)


def test_unknown_names_and_versions_are_not_found(tmp_path):
    write_artifact(tmp_path / "m" / "1")
    models, _ = load(tmp_path)
    with pytest.raises(NotFound, match="no model 'x'; there are m"):
        find(models, "x", "")
    with pytest.raises(NotFound, match="m has no version '7'; there are 1"):
        find(models, "m", "7")


def test_files_and_folders_that_are_not_versions_are_ignored(tmp_path):
    write_artifact(tmp_path / "m" / "1")
    for other in ("m/.2.tmp", "m/latest", ".git/1", "m/3x"):
        (tmp_path / other).mkdir(parents=True)
    (tmp_path / "README.md").write_text("hello")
    models, _ = load(tmp_path)
    assert [(e.name, e.version) for e in models.entries()] == [("m", "1")]


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.rmdir(), lambda p: (p / "m").mkdir()])
def test_nothing_to_load_is_an_error(tmp_path, make):
    folder = tmp_path / "models"
    folder.mkdir()
    make(folder)
    with pytest.raises(ArtifactError, match=r"no such folder|holds no model"):
        load(folder)


def test_no_ready_version_is_an_error_that_says_why(tmp_path):
    (write_artifact(tmp_path / "m" / "1") / "golden.npz").unlink()
    with pytest.raises(ArtifactError, match=r"no model is ready; m version 1: golden\.npz"):
        load(tmp_path)


def test_the_default_model_must_exist(tmp_path):
    write_artifact(tmp_path / "m" / "1")
    with pytest.raises(ArtifactError, match=r"--default-model is 'x'; .* holds m"):
        load(tmp_path, default_model="x")


def test_a_tables_scale_reaches_the_likelihood(tmp_path):
    path = write_artifact(tmp_path / "1", item_shape=(2,), likelihood="gaussian", scale=(10.0, 0.5))
    assert loader.spec_of(artifact.read(path).manifest).likelihood == Gaussian(0.25, (10.0, 0.5))
