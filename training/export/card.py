"""The text of MODEL_CARD.md: what the model is, its figures, and how to check them."""

from dataclasses import dataclass
from html import escape

from server.artifact import Manifest
from training.export.card_tables import tables
from training.export.measurements import Measurements
from training.run import warm_start


def text(manifest: Manifest) -> str:
    """The card in Markdown. It depends on the manifest alone, and not on the order of keys in it."""
    provenance, metrics = manifest.provenance, manifest.metrics
    data, config = provenance["data"], provenance["config"]
    prior = "learned (RealNVP)" if manifest.learned_prior else "N(0, I)"
    words = _words(manifest)
    held_out = provenance["held_out"]
    if config["train_on"] == "all":
        shown = "Trained on the training and the validation rows."
    else:
        shown = "Trained on the training rows."
    if held_out == "test":
        caveat = "Neither training nor choice has seen these rows. The manifest's percentiles are of them too."
    elif config["train_on"] == "all":
        caveat = "The validation rows were trained on, so these figures flatter, as do the manifest's percentiles."
    else:
        caveat = "The validation rows chose the epoch that is exported, so these figures flatter a little."
    rows = ", ".join(f"{count:,} {name}" for name, count in data["rows"].items())
    return f"""# Model card: a variational autoencoder of {data["name"]}

![Samples from the prior](samples.png)

{words.samples}

![Reconstructions](reconstructions.png)

{words.reconstructions}

## Model

| | |
|---|---|
| items | {words.items} |
| latent size | {manifest.latent_size} |
| prior p(z) | {prior} |
| likelihood p(x given z) | {words.likelihood} |
| parameters | {provenance["parameters"]:,} |
| decoder | {provenance["decode_macs"] / 1e6:.2f} million multiply-adds a row |
| preset | {config["preset"]}; the whole configuration is in manifest.json |

## Data and training

{data["name"]}: {rows}; validation rows are {data["validation"]}. {shown} Rows are {words.seen}.
sha256 of all rows: `{data["sha256"]}`.

{_trained(manifest)} Code: commit {provenance["git_commit"] or "unknown"}.

## Figures

On {metrics["rows"]:,.0f} {held_out} rows, {words.seen}, from the exported graphs; nats per item. The ELBO is better
when higher, the others when lower.

| | |
|---|---|
| ELBO | {metrics["elbo"]:.2f} |
| -log p(x), {metrics["nll_importance_samples"]:.0f} importance samples, {metrics["nll_rows"]:.0f} rows \
| {metrics["nll"]:.2f} ± {metrics["nll_standard_error"]:.2f} (standard error over rows) |
| reconstruction, -E log p(x given z) | {metrics["reconstruction_nll"]:.2f} |
| KL(q(z given x), p(z)) | {metrics["kl"]:.2f} |
| active latents (posterior mean varies by more than 0.01) | {metrics["active_units"]:.0f} of {manifest.latent_size} |

{caveat}{_conversion(manifest)}

{tables(Measurements.of(provenance["measured"]), data=data["name"], config=config)}
![KL per latent](latent_kl.png)
{words.columns}
## Use and limits

Serve it with `python -m server --models exported`. It knows only {words.item}s like those it was trained on: for
anything else its reconstructions and likelihoods mean little, and a high likelihood does not show that {words.an_item}
belongs to the data. Samples repeat whatever the training rows contain.
"""


def _trained(manifest: Manifest) -> str:
    done, chosen = manifest.provenance["epochs"], manifest.provenance["chosen_epoch"]
    total = manifest.provenance["config"]["optimisation"]["epochs"]
    which = "its last step" if chosen is None else f"epoch {chosen}, the best on the validation rows"
    origin = warm_start.origin(manifest.provenance)
    start = "" if origin is None else f" It began with {origin}."
    return f"Trained for {done} of {total} epochs; exported are the averaged weights of {which}.{start}"


def _conversion(manifest: Manifest) -> str:
    if manifest.precision == "fp32":
        return ""
    graphs = " and ".join(manifest.provenance["converted"]["graphs"])
    return f"\n\nAll figures were measured in fp32; since then {graphs} were converted to {manifest.precision}."


@dataclass(frozen=True, slots=True)
class _Words:
    """The parts of the card's text that depend on the likelihood, or on whether items are images or rows."""

    item: str  # what an item is called
    an_item: str  # the same with its article
    items: str  # shape and range
    likelihood: str
    seen: str  # how the likelihood sees rows
    samples: str  # what samples.png shows
    reconstructions: str  # what reconstructions.png shows
    columns: str  # the section about a table's columns; empty for images


def _words(manifest: Manifest) -> _Words:
    item, sigma, data = manifest.item, manifest.likelihood.sigma, manifest.provenance["data"]
    if item.kind == "table":
        assert sigma is not None
        return _Words(
            item="row",
            an_item="a row",
            items=f"{item.size} numbers in the units of the table, unbounded",
            likelihood=f"Gaussian, sigma = {sigma:.4f} standard deviations of a column",
            seen="standardised inside the graphs",
            samples="Per column, held-out rows (filled) and 2,000 draws of x from the model (line).",
            reconstructions="Per column, held-out values (across), reconstructed from the mean of q(z | x) (up).",
            columns=_columns(manifest),
        )
    seen = "grey"
    if sigma is None:
        seen = "binarised once" if data["static"] else "binarised afresh at each use"
    return _Words(
        item="image",
        an_item="an image",
        items=f"{' x '.join(map(str, item.shape))}, values {item.range}",
        likelihood="Bernoulli" if sigma is None else f"Gaussian, one sigma = {sigma:.4f} for all dimensions",
        seen=seen,
        samples="Means of p(x | z) for 64 draws of z from the prior, unselected.",
        reconstructions=(
            "Held-out rows (odd lines) above their reconstructions from the mean of q(z | x) (even lines)."
        ),
        columns="",
    )


def _columns(manifest: Manifest) -> str:
    sigma, scale = manifest.likelihood.sigma, manifest.likelihood.scale
    assert sigma is not None
    assert scale is not None
    names = manifest.provenance["data"].get("columns") or [""] * len(scale)
    lines = [
        f"| {index} | {_cell(name)} | {deviation:.6g} | {sigma * deviation:.6g} |"
        for index, (name, deviation) in enumerate(zip(names, scale, strict=True), start=1)
    ]
    header = ["", "## Columns", "", "| | name | standard deviation | sigma |", "|---|---|---|---|"]
    return "\n".join([*header, *lines, ""])


def _cell(name: str) -> str:
    """Any text, escaped for a cell of a Markdown table."""
    return escape(" ".join(name.split())).replace("|", "&#124;")
