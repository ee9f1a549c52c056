"""The sections of a page, one function for each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import torch

from training.config.config import FlowPrior
from training.evaluation.held_out import ACTIVE
from training.export import plots
from training.export.pictures import MOST_COLUMNS
from training.report import table
from training.report.charts import bars, picture, scatter
from training.report.comparison import Comparison
from training.report.curves import curves
from training.report.findings import COLUMNS, STEPS, Findings
from training.report.latent_map import MOST_CLASSES
from training.report.table import number


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page; `title` and `body` are HTML."""

    anchor: str
    title: str
    body: str


def sections(findings: Findings) -> list[Section]:
    """The sections in reading order; tables have no interpolations, and baselines are there only if asked for."""
    learned = isinstance(findings.config.prior, FlowPrior)
    compared = [Section("baselines", "Baselines", _baselines(findings.comparisons))] if findings.comparisons else []
    interpolated = (
        [Section("interpolations", "Interpolations", _interpolations(findings, learned=learned))]
        if findings.columns is None
        else []
    )
    return [
        Section("curves", "Training curves", curves(findings.epochs)),
        Section("samples", "Samples from the prior", _samples(findings, learned=learned)),
        Section("reconstructions", "Reconstructions", _reconstructions(findings)),
        *interpolated,
        Section("latent-map", "Latent map", _latent_map(findings)),
        Section("kl", "KL per latent", _kl(findings, learned=learned)),
        *compared,
        Section("configuration", "Configuration", _configuration(findings.config.to_mapping())),
    ]


def _samples(findings: Findings, *, learned: bool) -> str:
    prior = "the learned prior" if learned else "N(0, I)"
    count = len(findings.samples)
    if findings.columns is not None:
        caption = f"Per column, validation rows (filled) and {count:,} draws of x (line), whose z come from {prior}."
        names = findings.columns[:MOST_COLUMNS]
        return _caption(caption) + picture(
            lambda file: plots.histograms(file, findings.originals, findings.samples, names=names),
            alt="A histogram for each column, of real rows and of generated ones",
        )
    caption = f"Means of p(x | z) for {count} draws of z from {prior}, unselected."
    alt = f"{count} generated images in lines of {COLUMNS}"
    return _caption(caption) + picture(lambda file: plots.grid(file, findings.samples, columns=COLUMNS), alt=alt)


def _reconstructions(findings: Findings) -> str:
    if findings.columns is not None:
        caption = "Per column, validation values (across) and their reconstructions from the mean of q(z | x) (up)."
        names = findings.columns[:MOST_COLUMNS]
        return _caption(caption) + picture(
            lambda file: plots.agreement(file, findings.originals, findings.reconstructions, names=names),
            alt="A scatter plot for each column, of reconstructed over real values",
        )
    caption = (
        "Validation rows at random (odd lines) above their reconstructions from the mean of q(z | x) (even lines)."
    )
    columns = min(COLUMNS, len(findings.originals))
    return _caption(caption) + picture(
        lambda file: plots.pairs(file, findings.originals, findings.reconstructions, columns=columns),
        alt=f"{len(findings.originals)} validation rows, each above its reconstruction",
    )


def _interpolations(findings: Findings, *, learned: bool) -> str:
    where = "in the noise that the learned prior turns into latents" if learned else "between the means of q(z | x)"
    caption = f"First and last: two validation rows. Between them: {STEPS} decoded latents on the arc {where} (slerp)."
    rows = findings.interpolations
    return _caption(caption) + picture(
        lambda file: plots.grid(file, torch.cat(rows), columns=len(rows[0])),
        alt=f"{len(findings.interpolations)} lines of images, each going over from one validation row to another",
    )


def _latent_map(findings: Findings) -> str:
    shown = findings.latent_map
    if shown.labels is None:
        colour = "The data have no labels, so the dots have one colour."
    elif not shown.classes:
        colour = f"There are more than {MOST_CLASSES} classes, so the dots have one colour."
    else:
        colour = "Coloured by label, which the model never saw; a label stands at the middle of its dots."
    caption = (
        f"Posterior means of {len(shown.points):,} validation rows in the two directions in which they vary most "
        f"({shown.explained:.0%} of the variance). {colour}"
    )
    return _caption(caption) + f"<figure>{scatter(shown)}</figure>"


def _kl(findings: Findings, *, learned: bool) -> str:
    active = f"{sum(findings.active)} of {len(findings.active)} latents are active"
    caption = (
        f"KL(q(z_i | x), N(0, 1)) in nats, the mean over {findings.measured_rows:,} validation rows, in descending "
        f"order. {active}: the variance of their posterior mean is above {ACTIVE} (the others are grey)."
        + (" The learned prior is not N(0, I), so these do not add up to the KL above." if learned else "")
    )
    kl = findings.kl_per_latent
    order = sorted(range(len(kl)), key=lambda latent: -kl[latent])
    rows = ((f"latent {i}", number(kl[i]), "" if findings.active[i] else "not active") for i in order)
    every = table.figures(("latent", "KL, nats", ""), rows)
    return (
        _caption(caption)
        + f"<figure>{bars(kl, findings.active)}</figure>"
        + f"<details><summary>All latents as a table</summary>{every}</details>"
    )


def _baselines(comparisons: tuple[Comparison, ...]) -> str:
    vae = comparisons[0].mean
    rows = (
        (
            each.name,
            f"{each.mean:.2f} ± {each.standard_error:.2f}".replace("-", "−"),
            "" if each is comparisons[0] else f"{each.mean - vae:+.2f}".replace("-", "−"),
        )
        for each in comparisons
    )
    caption = (
        "−log p(x) of the validation rows in nats, lower is better; ± is the standard error over rows. The VAE's is a "
        "bound: the true difference is at least the one shown. For the published protocol: python -m training evaluate."
    )
    return _caption(caption) + table.figures(("model", "nats per row", "difference, at least"), rows)


def _configuration(config: Mapping[str, Any]) -> str:
    return _caption("The settings from preset, file and flags.") + table.facts(_flat(config, ""))


def _flat(config: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{where}{name}.")
        else:
            yield f"{where}{name}", "none" if value is None else str(value)


def _caption(text: str) -> str:
    return f'<p class="caption">{escape(text)}</p>'
