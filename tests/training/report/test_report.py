"""`python -m training report`: one page that is complete, matches its run and fetches nothing."""

import base64
import json
import os
import shutil
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from server import artifact as artifacts
from training.__main__ import main
from training.config.config import Config
from training.datasets import Dataset, Split, load
from training.errors import TrainingError
from training.report import journal, page, table
from training.report.charts import Chart, Series, bars, lines, scatter
from training.report.findings import Findings, gather, slerp
from training.report.latent_map import project
from training.report.palette import PALETTE
from training.report.table import number
from training.run import checkpoint, folder, session
from training.run.hardware import Hardware
from training.run.session import Session

SECTIONS = [
    "Training curves",
    "Samples from the prior",
    "Reconstructions",
    "Interpolations",
    "Latent map",
    "KL per latent",
    "Configuration",
]
EMPTY = {"meta", "img"}  # HTML elements that have no end


class Parsed(HTMLParser):
    """What a page consists of; fails on elements that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.headings: list[str] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data
        if self._open and self._open[-1] == "h2":
            self.headings.append(data)

    def attributes(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.elements if name in attributes]


def drawings(text: str) -> list[ElementTree.Element]:
    """The SVG images inside a page."""
    start = "data:image/svg+xml;base64,"
    sources = [source for source in Parsed(text).attributes("src") if source.startswith(start)]
    return [ElementTree.fromstring(base64.b64decode(source.removeprefix(start))) for source in sources]  # noqa: S314  made here


def texts(drawing: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in drawing.iter("{http://www.w3.org/2000/svg}text")]


def found(this: Session, dataset: Dataset, *, with_baselines: bool = False) -> Findings:
    saved = checkpoint.read(this.run.checkpoint)
    epochs = journal.read(this.run, until=saved.state["step"])
    return gather(this.run.path.name, saved, epochs, dataset, with_baselines=with_baselines)


def stopped(config: Config, path: Path, dataset: Dataset, cpu: Hardware, *, at: int, source: str) -> Session:
    this = session.new(config, run=folder.create(path), source=source, dataset=dataset, hardware=cpu)
    this.fit(observe=lambda event: None, stopping=lambda: this.state.step == at, clock=lambda: 0.0)
    return this


@pytest.fixture(scope="module")
def written(trained: Session, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of `trained`, by the command line."""
    file = tmp_path_factory.mktemp("pages") / "deep" / "page.html"
    assert main(["report", str(trained.run.path), "--out", str(file)]) == 0
    assert os.listdir(file.parent) == ["page.html"]
    return file.read_text()


@pytest.fixture(scope="module")
def findings(trained: Session, digits: Dataset) -> Findings:
    return found(trained, digits, with_baselines=True)


def test_the_page_has_every_section_and_each_can_be_reached(written: str) -> None:
    parsed = Parsed(written)
    assert parsed.headings == SECTIONS
    anchors = [attributes["id"] for tag, attributes in parsed.elements if tag == "section"]
    assert parsed.attributes("href") == [f"#{anchor}" for anchor in anchors]


def test_the_page_fetches_nothing(written: str) -> None:
    parsed = Parsed(written)
    assert "://" not in written
    assert "url(" not in written
    assert "@import" not in written
    assert {tag for tag, _ in parsed.elements}.isdisjoint({"script", "link", "iframe", "object", "use", "image"})
    kinds = [source.partition(";base64,")[0] for source in parsed.attributes("src")]
    assert (kinds.count("data:image/png"), kinds.count("data:image/svg+xml")) == (3, 8)
    assert len(kinds) == 3 + 8


def test_no_drawing_refers_to_anything_outside_of_it(written: str) -> None:
    for drawing in drawings(written):
        for element in drawing.iter():
            links = [value for name, value in element.attrib.items() if name.endswith("href")]
            assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
            assert "url(" not in "".join(element.attrib.values()).replace("url(#", "")
            assert "://" not in (element.text or "")


def test_every_picture_says_in_words_what_it_shows(written: str) -> None:
    pictures = [attributes for tag, attributes in Parsed(written).elements if tag == "img"]
    assert len(pictures) == 3 + 8
    assert all(attributes["alt"] for attributes in pictures)


def test_every_chart_names_its_axes_and_their_units(written: str) -> None:
    *curves, latent_map, kl = map(texts, drawings(written))
    assert all("epoch" in words for words in curves)
    for words, unit in zip(curves, ("nats", "nats", "nats", "rows/s", "learning rate", "weight"), strict=True):
        assert unit in words
    assert {"first principal direction of the means of z", "second principal direction"} < set(latent_map)
    assert {"latents in descending order of their KL", "KL, nats"} < set(kl)


def test_drawings_take_the_light_or_the_dark_colours_of_the_page(written: str) -> None:
    for drawing in drawings(written):
        style = drawing.find("{http://www.w3.org/2000/svg}style")
        assert style is not None
        assert "prefers-color-scheme: dark" in (style.text or "")
        looks = "".join(element.attrib.get("style", "") for element in drawing.iter())
        assert "var(--soft)" in looks
        assert not any(light in looks for light, _ in PALETTE.values())


def test_every_latent_is_in_a_table_with_its_kl(written: str, findings: Findings) -> None:
    words = Parsed(written).words
    for latent, (kl, active) in enumerate(zip(findings.kl_per_latent, findings.active, strict=True)):
        assert f"latent {latent}{number(kl)}{'' if active else 'not active'}" in words


def test_the_page_says_what_the_run_is(written: str, trained: Session, digits: Dataset) -> None:
    words = Parsed(written).words
    assert trained.state.best is not None
    assert f"validation ELBO, epoch {trained.state.best.epoch}" in words
    assert f"{number(trained.state.best.bound)} nats" in words
    for fact in (digits.sha256, "1,437 train, 180 validation, 180 test", "RealNVP, 2 couplings", "15 of 15"):
        assert fact in words
    assert "not finished" not in words
    assert "optimisation.batch_size64" in words  # a name and the value beside it
    assert "Coloured by label" in words


def test_the_page_says_whose_weights_the_run_began_with(
    trained: Session, digits: Dataset, quick: Config, cpu: Hardware, tmp_path: Path
) -> None:
    one_epoch = replace(quick, optimisation=replace(quick.optimisation, epochs=1))
    earlier = checkpoint.read(trained.run.checkpoint)
    later = session.new(
        one_epoch, run=folder.create(tmp_path / "run"), source="digits", dataset=digits, hardware=cpu, earlier=earlier
    )
    assert later.fit(observe=lambda event: None, stopping=lambda: False, clock=lambda: 0.0)
    assert "the averaged weights of a run of preset tiny, seed 0, 15 epochs of digits" in page.text(
        found(later, digits)
    )


def test_a_run_gives_the_same_page_again(written: str, trained: Session, findings: Findings) -> None:
    assert page.text(replace(findings, comparisons=())) == written


def test_active_latents_are_counted_as_the_artifact_counts_them(findings: Findings, artifact: Path) -> None:
    assert sum(findings.active) == artifacts.read(artifact).manifest.metrics["active_units"]


def test_baselines_stand_beside_the_vae_and_are_worse(findings: Findings) -> None:
    vae, *others = findings.comparisons
    assert [other.name for other in others] == ["one Normal", "mixture of 10 Normals, EM", "independent pixels"]
    assert all(other.mean > vae.mean + 0.5 for other in others)
    # Other draws of the same rows: within a few standard errors of what the journal says.
    assert vae.mean == pytest.approx(-findings.chosen.validation.elbo, abs=1.0)
    words = Parsed(page.text(findings)).words
    assert "Baselines" in words
    assert f"independent pixels{others[2].mean:.2f} ± {others[2].standard_error:.2f}+" in words


def test_without_labels_the_map_has_one_colour_and_says_so(trained: Session, digits: Dataset) -> None:
    bare = replace(digits, validation=Split(digits.validation.rows))
    assert "The data have no labels, so the dots have one colour." in Parsed(page.text(found(trained, bare))).words


def test_few_validation_rows_fill_whole_lines_or_one(trained: Session, digits: Dataset) -> None:
    for rows, shown, paths in ((20, 16, 8), (5, 5, 2), (2, 2, 1)):
        few = found(trained, replace(digits, validation=Split(digits.validation.rows[:rows])))
        assert (len(few.originals), len(few.interpolations)) == (shown, paths)
        assert Parsed(page.text(few)).headings == SECTIONS
    with pytest.raises(TrainingError, match="digits: has one validation row"):
        found(trained, replace(digits, validation=Split(digits.validation.rows[:1])))


def test_names_are_text_and_never_markup(digits: Dataset, quick: Config, cpu: Hardware, tmp_path: Path) -> None:
    file = tmp_path / "<i>&amp;.npy"
    np.save(file, digits.train.rows[:60].numpy())
    mine = load(str(file), environment={})
    this = stopped(quick, tmp_path / "<script>'\"&lt;", mine, cpu, at=2, source=str(file))
    assert main(["report", str(this.run.path)]) == 0
    text = (this.run.path / "report.html").read_text()
    parsed = Parsed(text)
    assert {"i", "script"}.isdisjoint(tag for tag, _ in parsed.elements)
    assert "Run <script>'\"&lt;" in parsed.words
    assert "A variational autoencoder of <i>&amp;, preset tiny" in parsed.words
    assert "no labels" in parsed.words


def test_an_unfinished_run_is_reported_up_to_its_checkpoint(
    quick: Config, digits: Dataset, cpu: Hardware, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The checkpoint holds two epochs of 22 steps and some more; the journal has a third epoch and half a line."""
    this = stopped(quick, tmp_path / "run", digits, cpu, at=50, source="digits")
    last = json.loads(this.run.journal.read_text().splitlines()[-1])
    with this.run.journal.open("a") as stream:
        stream.write(json.dumps({**last, "epoch": 3, "step": 66}) + '\n{"epoch": 4, "st')
    assert main(["report", str(this.run.path)]) == 0
    assert capsys.readouterr().out == f"report: {this.run.path / 'report.html'}\n"
    words = Parsed((this.run.path / "report.html").read_text()).words
    assert "This run is not finished: 2 of 15 epochs are done." in words


def test_a_first_epoch_alone_is_a_point(trained: Session, findings: Findings) -> None:
    charts = drawings(page.text(replace(findings, epochs=findings.epochs[:1])))[:6]
    dots = [
        element
        for chart in charts
        for element in chart.iter("{http://www.w3.org/2000/svg}use")
        if "fill: var(--line-" in element.attrib["style"]
    ]
    # In the drawing and in its legend: three charts of two lines, three of one.
    assert len(dots) == 2 * 9


def test_a_folder_without_a_run_ends_in_one_line_and_exit_code_2(
    trained: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def failure(*arguments: object) -> str:
        assert main(["report", *map(str, arguments)]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        return captured.err

    assert "nowhere: has no checkpoint.pt; give the folder of a run" in failure(tmp_path / "nowhere")
    copy = tmp_path / "run"
    shutil.copytree(trained.run.path, copy)
    good = (copy / "journal.jsonl").read_text()
    assert "the name must end in .html" in failure(copy, "--out", tmp_path)
    assert "no such file or folder" in failure(copy, "--data", "nowhere")
    np.save(tmp_path / "other.npy", np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8))
    assert "the run was trained on" in failure(copy, "--data", tmp_path / "other.npy")
    (copy / "journal.jsonl").write_text("junk\n" + good)
    assert "journal.jsonl: line 1 is damaged" in failure(copy)
    (copy / "journal.jsonl").write_text(good.splitlines()[0] + "\n")
    assert "which is missing in the journal" in failure(copy)
    (copy / "journal.jsonl").unlink()
    assert "no epoch is complete in journal.jsonl" in failure(copy)
    (copy / "checkpoint.pt").write_bytes(b"junk")
    assert "checkpoint.pt: is damaged" in failure(copy)
    assert sorted(os.listdir(copy)) == ["checkpoint.pt"]


def test_slerp_goes_from_end_to_end_on_the_sphere() -> None:
    draws = torch.Generator().manual_seed(0)
    start, end = (5 * torch.nn.functional.normalize(torch.randn(9, generator=draws), dim=0) for _ in range(2))
    path = slerp(start, end, steps=7)
    torch.testing.assert_close(path[[0, -1]], torch.stack((start, end)))
    torch.testing.assert_close(path.norm(dim=1), torch.full((7,), 5.0))
    steps = (path[1:] - path[:-1]).norm(dim=1)
    torch.testing.assert_close(steps, steps[:1].expand(6))


@pytest.mark.parametrize("end", [[2.0, 0.0], [-2.0, 0.0]], ids=["parallel", "opposite"])
def test_slerp_without_an_arc_is_a_straight_line(end: list[float]) -> None:
    path = slerp(torch.tensor([1.0, 0.0]), torch.tensor(end), steps=3)
    torch.testing.assert_close(path[1], torch.tensor([(1 + end[0]) / 2, 0.0]))


def test_the_latent_map_is_scikit_learns_up_to_signs() -> None:
    means = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([3.0, 1, 2, 0.5, 0.1, 0.1])
    expected = PCA(2).fit(means.double().numpy())
    shown = project(means, None)
    np.testing.assert_allclose(shown.points.abs(), np.abs(expected.transform(means.double().numpy())), atol=1e-6)
    assert shown.explained == pytest.approx(expected.explained_variance_ratio_.sum())


def test_one_latent_or_a_collapsed_one_is_still_drawn() -> None:
    for means in (torch.arange(5.0)[:, None], torch.zeros(5, 3)):
        shown = scatter(project(means, torch.tensor([0, 0, 1, 1, 2])))
        assert [texts(drawing)[-3:] for drawing in drawings(shown)] == [["0", "1", "2"]]
    (collapsed,) = drawings(bars((0.0, 0.0), (False, False)))
    assert "KL, nats" in texts(collapsed)


def test_many_classes_are_not_told_apart_by_colour() -> None:
    (several,), (many,) = (
        drawings(scatter(project(torch.randn(30, 3, generator=torch.Generator().manual_seed(0)), labels)))
        for labels in (torch.arange(30) % 15, torch.arange(30))
    )
    assert texts(several)[-15:] == [str(name) for name in range(15)]
    assert texts(many)[-1] == "second principal direction"


@pytest.mark.parametrize("values", [(7.0, 7.0), (0.0,), (-1e-9, 1e9)], ids=str)
def test_a_line_is_drawn_whatever_its_values_are(values: tuple[float, ...]) -> None:
    chart = Chart(title="t", unit="nats", series=(Series("validation", values),))
    (drawing,) = drawings(lines(chart, epochs=tuple(range(1, len(values) + 1))))
    assert f"validation {number(values[-1])}" in texts(drawing)
    assert "nan" not in "".join(value for element in drawing.iter() for value in element.attrib.values())


def test_numbers_and_tables_are_readable() -> None:
    assert [number(value) for value in (-84.8532, 4355.31, 12345678.0, 1e-05, 0.0)] == [
        "−84.85",
        "4,355",
        "12,345,678",
        "1e−05",
        "0",
    ]
    assert unescape(table.facts([("<", "&")])).count("<") == table.facts([("<", "&")]).count("<") + 1
