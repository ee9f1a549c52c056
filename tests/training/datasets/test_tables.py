"""Tables: read from files or refused by row and column, learned in their own units, served as they were learned."""

import dataclasses
import hashlib
import importlib
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from server import artifact as contract
from server.catalog.loader import spec_of
from server.core.likelihood import DecoderOutput, Gaussian
from server.engine import engine
from training.__main__ import main
from training.config.config import Config
from training.config.resolve import resolve
from training.datasets import Dataset, load
from training.errors import TrainingError
from training.evaluation import exported_model
from training.evaluation.evaluate import evaluate
from training.export import export
from training.model.vae import Vae
from training.run import checkpoint, folder, session
from training.run.hardware import Hardware
from training.run.session import Session

DRAWS = np.random.default_rng(0)
ROWS = DRAWS.normal(size=(40, 3))


def read(source: object) -> Dataset:
    return load(str(source), environment={})


def refusal(source: object) -> str:
    with pytest.raises(TrainingError) as caught:
        read(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def text_of(rows: np.ndarray, *, delimiter: str = ",") -> str:
    return "".join(delimiter.join(map(repr, map(float, row))) + "\n" for row in rows)


def everything(dataset: Dataset) -> np.ndarray:
    """All rows, whatever their split, in one order."""
    splits = [dataset.train, dataset.validation, *([dataset.test] if dataset.test else [])]
    rows = np.concatenate([split.rows.numpy() for split in splits])
    return rows[np.lexsort(rows.T)]


def ordered(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float32)
    return rows[np.lexsort(rows.T)]


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        ("rows.csv", "a,b,c\n" + text_of(ROWS), ("a", "b", "c")),
        ("rows.csv", text_of(ROWS), None),
        ("rows.csv", "\ufeffa; b ;\n\n" + text_of(ROWS, delimiter=";") + "\n", ("a", "b", "3")),
        ("rows.tsv", '"a, or b"\tb\tc\n' + text_of(ROWS, delimiter="\t"), ("a, or b", "b", "c")),
        ("rows.csv", "a,b,c\r\n" + text_of(ROWS).replace("\n", "\r\n").replace(",", " , "), ("a", "b", "c")),
    ],
    ids=["with a header", "without one", "semicolons and a byte order mark", "tabs", "blanks and CRLF"],
)
def test_a_text_file_is_read_with_or_without_a_header(
    name: str, content: str, columns: tuple[str, ...] | None, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content.encode())
    dataset = read(tmp_path / name)
    assert (dataset.kind, dataset.item_shape, dataset.columns) == ("table", (3,), columns)
    assert dataset.counts == {"train": 36, "validation": 4}
    assert dataset.train.rows.dtype == torch.float32
    assert not dataset.static
    np.testing.assert_array_equal(everything(dataset), ordered(ROWS))


@pytest.mark.parametrize("rows", [ROWS, ROWS.astype(np.float32), (ROWS * 100).astype(np.int32)], ids=str)
def test_two_axes_of_numbers_are_a_table(rows: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", rows)
    np.savez(tmp_path / "rows.npz", x_train=rows, x_test=rows[:7], y_train=np.arange(40))
    np.testing.assert_array_equal(everything(read(tmp_path / "rows.npy")), ordered(rows))
    archive = read(tmp_path / "rows.npz")
    assert archive.counts == {"train": 36, "validation": 4, "test": 7}
    assert archive.train.labels is not None


def test_a_folder_may_hold_a_file_for_each_split(tmp_path: Path) -> None:
    for name, rows in (("train", ROWS), ("validation", ROWS[:5]), ("test", ROWS[:6])):
        (tmp_path / f"{name}.csv").write_text("a,b,c\n" + text_of(rows))
    assert read(tmp_path).counts == {"train": 40, "validation": 5, "test": 6}
    (tmp_path / "test.csv").write_text("a,c,b\n" + text_of(ROWS))
    assert "test.csv: has columns a, c, b; train.csv has a, b, c" in refusal(tmp_path)
    (tmp_path / "test.tsv").write_text(text_of(ROWS))
    assert "test.csv and test.tsv are both test; keep one" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (
            "a,b\n1,2\n\n3,nan\n",
            "rows.csv: line 4, column 'b': nan is no finite float32; fill it, or drop row or column",
        ),
        ("1,2\n3,inf\n", "rows.csv: line 2, column 2: inf is no finite float32"),
        ("1,2\n1e39,3\n", "rows.csv: line 2, column 1: 1e+39 is no finite float32"),
        ("a,b\n1,\n", "rows.csv: line 2, column 'b': '' is no number; fill it"),
        ("a,b\n1,2\n3,x\n", "rows.csv: line 3, column 'b': 'x' is no number; fill it"),
        ("a;b\n1;2,5\n", "rows.csv: line 2, column 'b': '2,5' is no number"),
        ("id,2019\n1,2\n", "line 1, column 1: 'id' is no number (the names of a header must not be numbers)"),
        ("a,b\n1,2\n1,2,3\n", "rows.csv: line 3 has 3 cells, the first one 2"),
        ("a,b\n", "rows.csv: holds no rows of numbers"),
        ("", "rows.csv: holds no rows of numbers"),
        ('a,b\n"1,2\n', "rows.csv: is not CSV: unexpected end of data"),
        (b"a,b\n1,\xff\n", "rows.csv: is not UTF-8 text (invalid start byte at byte 6)"),
        ("a,b\n" + "1,2\n" * 19, "rows: has 19 rows; training needs at least 20"),
        ("a,b\n" + "".join(f"{n},7\n" for n in range(30)), "rows: column 'b' is 7 in every training row, or nearly so"),
        ("".join(f"{n},0\n" for n in range(30)), "rows: column 2 is 0 in every training row"),
        (
            "".join(f"{1e9 + n},{n}\n" for n in range(30)),
            "column 1 is 1e+09 in every training row, or nearly so; drop it",
        ),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_file_that_is_no_table_is_refused_by_line_and_column(
    content: str | bytes, complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    assert complaint in refusal(tmp_path / "rows.csv")


def test_arrays_that_are_no_table_are_refused(tmp_path: Path) -> None:
    def saved(array: np.ndarray) -> Path:
        np.save(tmp_path / "rows.npy", array)
        return tmp_path / "rows.npy"

    broken = ROWS.copy()
    broken[7, 1] = np.nan
    assert "rows.npy: row 8, column 2: nan is no finite float32" in refusal(saved(broken))
    assert "rows.npy: is empty, shape (0, 3)" in refusal(saved(ROWS[:0]))
    assert "or [N, D] floats, a table" in refusal(saved(np.zeros((30, 4), np.uint8)))
    np.savez(tmp_path / "rows.npz", train=ROWS, test=ROWS[:, :2])
    assert "test items are (2,), training items (3,)" in refusal(tmp_path / "rows.npz")


def test_parquet_without_pyarrow_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "rows.parquet").write_bytes(b"PAR1")
    assert "reading Parquet needs pyarrow; pip install 'vaeserve[parquet]', or save the table as .csv" in refusal(
        tmp_path / "rows.parquet"
    )


def test_parquet_is_read_where_pyarrow_is(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = importlib.import_module("pyarrow.parquet")
    file = tmp_path / "rows.parquet"

    def write(**columns: object) -> None:
        parquet.write_table(pyarrow.table(columns), file)

    write(a=ROWS[:, 0], b=(ROWS[:, 1] * 9).astype(np.int16), c=ROWS[:, 2] > 0)
    dataset = read(file)
    expected = np.stack([ROWS[:, 0], np.trunc(ROWS[:, 1] * 9), ROWS[:, 2] > 0], 1)
    assert (dataset.columns, dataset.item_shape) == (("a", "b", "c"), (3,))
    np.testing.assert_array_equal(everything(dataset), ordered(expected))
    write(a=[1.0] * 30, b=[1, 2, None] * 10)
    assert "rows.parquet: row 3, column 'b': nan is no finite float32" in refusal(file)
    write(a=[1.0] * 30, b=["x"] * 30)
    assert "rows.parquet: column 'b' is string; every column must be a number" in refusal(file)
    write(a=np.zeros(0))
    assert "rows.parquet: holds no rows of numbers" in refusal(file)
    file.write_bytes(b"PAR1 no table")
    assert "rows.parquet: pyarrow cannot read it: " in refusal(file)


# -- learned, exported, served

UNITS = 2.0 ** np.array([20.0, -15.0, 0.0, 5.0])  # of the four columns; powers of two, so that scaling is exact
QUICK = {"architecture": {"hidden": [32, 32]}, "latent_size": 4, "optimisation": {"epochs": 60, "batch_size": 64}}


def mixture(count: int, *, seed: int) -> np.ndarray:
    """Two clusters, each bent: far from a Normal; [count, 4]."""
    random = np.random.default_rng(seed)
    side = np.where(random.random(count) < 0.4, 1.0, -1.0)
    along = random.normal(size=count)
    noise = 0.2 * random.normal(size=(count, 4))
    return np.stack([3 * side + along, along**2, side * along, along - side], 1) + noise + 2.0


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Columns of very different units."""
    folder = tmp_path_factory.mktemp("table")
    for name, count, seed in (("train", 2000, 1), ("validation", 300, 2), ("test", 400, 3)):
        (folder / f"{name}.csv").write_text("money,tiny,one,x\n" + text_of(mixture(count, seed=seed) * UNITS))
    return read(folder)


def fitted(config: Config, dataset: Dataset, hardware: Hardware, path: Path) -> Session:
    this = session.new(config, run=folder.create(path), source="table", dataset=dataset, hardware=hardware)
    assert this.fit(observe=lambda event: None, stopping=lambda: False, clock=lambda: 0.0)
    return this


def exported(this: Session, dataset: Dataset, out: Path) -> Path:
    model, chosen = session.trained_model(checkpoint.read(this.run.checkpoint))
    export.export(model, dataset, provenance={**this.provenance, **chosen}, out=out)
    return out


@pytest.fixture(scope="module")
def learned(table: Dataset, cpu: Hardware, tmp_path_factory: pytest.TempPathFactory) -> Session:
    config = resolve(name="table", file=None, flags=QUICK)
    return fitted(config, table, cpu, tmp_path_factory.mktemp("runs") / "table")


@pytest.fixture(scope="module")
def exported_table(learned: Session, table: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(learned, table, tmp_path_factory.mktemp("exported") / "1")


def model_of(this: Session) -> Vae:
    return session.trained_model(checkpoint.read(this.run.checkpoint))[0]


def test_the_server_scores_rows_in_their_own_units_as_torch_does(
    exported_table: Path, learned: Session, table: Dataset
) -> None:
    loaded = engine.load(contract.read(exported_table))
    spec = spec_of(loaded.manifest)
    assert isinstance(spec.likelihood, Gaussian)
    assert (spec.item_shape, spec.value_range) == ((4,), None)
    x = table.test.rows  # type: ignore[union-attr]
    mean, log_var = loaded.run("encoder", x.numpy())
    decoded = DecoderOutput(loaded.run("decoder", mean)[0], None)
    model = model_of(learned)
    with torch.inference_mode():
        posterior = model.encoder(x)
        output = model.decoder(posterior.mean)
        expected = -model.log_likelihood(x, output)
    np.testing.assert_allclose(mean, posterior.mean, atol=1e-4)
    np.testing.assert_allclose(log_var, posterior.log_var, atol=1e-4)
    np.testing.assert_allclose(decoded.mean / UNITS, output.numpy() / UNITS, atol=1e-4)
    np.testing.assert_allclose(spec.likelihood.nll(x.numpy(), decoded), expected, atol=2e-3, rtol=1e-4)
    through = exported_model.load(exported_table)
    np.testing.assert_allclose(-through.log_likelihood(x, through.decode(posterior.mean)[1]), expected, atol=2e-3)


def test_no_finite_row_makes_a_nan(exported_table: Path) -> None:
    """Clients may send any finite number; the strangest row must come out as one that is infinitely unlikely."""
    loaded = engine.load(contract.read(exported_table))
    largest = np.finfo(np.float32).max
    rows = np.array([[largest] * 4, [-largest] * 4, [0, 1, 0, 0], [largest, -largest, 0, 1]], np.float32)
    mean, log_var = loaded.run("encoder", rows)
    decoded = loaded.run("decoder", mean)[0]
    assert np.isfinite(mean).all()
    assert np.isfinite(log_var).all()
    assert np.isfinite(decoded).all()
    nll = spec_of(loaded.manifest).likelihood.nll(rows, DecoderOutput(decoded, None))
    assert not np.isnan(nll).any()
    assert nll.min() > 1e4


def test_the_manifest_gives_sigma_in_deviations_and_the_deviations(
    exported_table: Path, learned: Session, table: Dataset
) -> None:
    manifest = contract.read(exported_table).manifest
    likelihood = manifest.likelihood
    assert manifest.item == contract.Item("table", (4,), None)
    np.testing.assert_allclose(likelihood.scale, table.train.rows.double().std(0, correction=0), rtol=1e-6)
    assert likelihood.sigma == model_of(learned).sigma
    assert 0.02 < likelihood.sigma < 0.3
    assert manifest.provenance["data"]["columns"] == ["money", "tiny", "one", "x"]
    card = (exported_table / "MODEL_CARD.md").read_text()
    assert "| 1 | money | " in card
    assert "image" not in card


def test_exporting_again_gives_the_same_bytes(
    exported_table: Path, learned: Session, table: Dataset, tmp_path: Path
) -> None:
    def digests(path: Path) -> Mapping[str, str]:
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in path.iterdir()}

    assert digests(exported(learned, table, tmp_path / "1")) == digests(exported_table)


def figures(path: Path, dataset: Dataset, **options: Any) -> Any:
    return evaluate(
        exported_model.load(path, threads=1),
        dataset,
        **{
            "split": "test",
            "samples": 50,
            "estimator": "importance",
            "seed": 0,
            "most_rows": None,
            "with_baselines": False,
            "begin": lambda count: None,
            "done": lambda count: None,
            **options,
        },
    )


def test_it_beats_one_normal_on_held_out_rows_of_a_mixture(exported_table: Path, table: Dataset) -> None:
    result = figures(exported_table, table, with_baselines=True)
    assert set(result.baselines) == {"one Normal", "mixture of 10 Normals, EM"}
    normal = result.baselines["one Normal"]
    assert normal.mean > result.nll.mean + 1.0
    assert result.binarisation == "none"
    # The baseline is fitted in deviations, its density is of the rows as they are.
    train, test = (split.rows.double() for split in (table.train, table.test))  # type: ignore[union-attr]
    covariance = torch.from_numpy(np.cov(train.numpy(), rowvar=False))
    exact = torch.distributions.MultivariateNormal(train.mean(0), covariance)
    assert normal.mean == pytest.approx(-exact.log_prob(test).mean().item(), abs=0.1)


def test_units_decide_nothing_but_the_unit_of_the_density(
    learned: Session, table: Dataset, cpu: Hardware, tmp_path: Path
) -> None:
    """The same rows in other units: the same latents, and a density that differs by the volume of the units."""
    factor = torch.tensor(1 / UNITS, dtype=torch.float32)

    def in_other_units(split: Any) -> Any:
        return dataclasses.replace(split, rows=split.rows * factor)

    other = dataclasses.replace(
        table, train=in_other_units(table.train), validation=in_other_units(table.validation), test=None
    )
    again = fitted(learned.config, other, cpu, tmp_path / "run")
    assert learned.state.best is not None
    assert again.state.best is not None
    volume = sum(math.log(unit) for unit in UNITS)
    assert again.state.best.bound == pytest.approx(learned.state.best.bound + volume, abs=0.02)
    x = table.validation.rows
    with torch.inference_mode():
        here: Tensor = learned.state.average.encoder(x).mean
        there: Tensor = again.state.average.encoder(x * factor).mean
    torch.testing.assert_close(here, there, atol=1e-2, rtol=1e-2)


def test_evaluating_other_columns_is_refused(exported_table: Path, table: Dataset) -> None:
    swapped = dataclasses.replace(table, columns=("tiny", "money", "one", "x"))
    with pytest.raises(TrainingError, match="the model takes columns money, tiny, one, x in this order, "):
        figures(exported_table, swapped)
    nameless = dataclasses.replace(table, columns=None)
    assert figures(exported_table, nameless, most_rows=20, samples=2).rows == 20


def test_a_table_run_resumes_bit_for_bit(table: Dataset, cpu: Hardware, tmp_path: Path) -> None:
    config = resolve(name="table", file=None, flags={**QUICK, "optimisation": {"epochs": 2}})
    whole = fitted(config, table, cpu, tmp_path / "whole")
    parts = session.new(config, run=folder.create(tmp_path / "parts"), source="table", dataset=table, hardware=cpu)
    parts.fit(observe=lambda event: None, stopping=lambda: parts.state.step == 9, clock=lambda: 0.0)
    again = session.resume(checkpoint.read(parts.run.checkpoint), run=parts.run, dataset=table, hardware=cpu)
    assert again.fit(observe=lambda event: None, stopping=lambda: False, clock=lambda: 0.0)
    one, other = whole.state.model.state_dict(), again.state.model.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("a,b,c\n" + text_of(ROWS))
    return tmp_path


def test_the_command_line_fits_and_evaluates_a_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit = ["fit", "--preset", "table", "--data", "rows.csv", "--epochs", "2", "--out", "exported/rows/1"]
    assert main(fit) == 0
    out, err = capsys.readouterr()
    assert "rows: 36 train, 4 validation; items 3 columns" in err
    assert "exported exported/rows/1: validation ELBO -" in out
    assert main(["evaluate", "exported/rows/1", "--data", "rows.csv", "--split", "validation"]) == 0
    assert "4 validation rows of rows, binarisation none" in capsys.readouterr().out
    assert main(["report", "runs/rows-1-1", "--baselines"]) == 0
    page = Path("runs/rows-1-1/report.html").read_text()
    assert "Per column, validation rows (filled)" in page
    assert "Interpolations" not in page
    capsys.readouterr()
    assert main(["classifier", "--data", "rows.csv", "--out", "classifier.pt"]) == 2
    assert "rows: is a table; the classifier takes images only" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--preset", "tiny"], "the rows of a table need --likelihood gaussian; use --preset table"),
        (["--preset", "default"], "architecture conv takes images, not the rows of a table; use --preset table"),
        (["--preset", "seed"], "architecture tutorial takes images, not the rows of a table; use --preset table"),
    ],
)
def test_a_preset_for_images_is_refused(
    flags: list[str], complaint: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", *flags, "--data", "rows.csv", "--out", "exported/rows/1"]) == 2
    assert complaint in capsys.readouterr().err
    assert not (here / "exported").exists()
