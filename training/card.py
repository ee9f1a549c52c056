"""MODEL_CARD.md: what the model is, what it was measured to do, and how to check that."""

from collections.abc import Mapping, Sequence
from typing import Any

from server.artifact import Manifest


def text(
    manifest: Manifest,
    *,
    parameters: int,
    decode_macs: int,
    trained: str,
    evaluations: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The card in Markdown; `trained` says in words how far training went, `evaluations` are of this model."""
    item, provenance, metrics = manifest.item, manifest.provenance, manifest.metrics
    data, config = provenance["data"], provenance["config"]
    prior = "learned (RealNVP)" if manifest.learned_prior else "N(0, I)"
    if manifest.likelihood.name == "bernoulli":
        likelihood = "Bernoulli"
        seen = "binarised once" if data["static"] else "binarised afresh at each use"
    else:
        likelihood = f"Gaussian, one sigma = {manifest.likelihood.sigma:.4f} for all dimensions"
        seen = "grey"
    if config.get("train_on") == "all":  # absent before there was a choice
        shown = "Trained on the training and the validation rows."
        flatters = "The validation rows were trained on, so these figures flatter, as do the manifest's percentiles."
    else:
        shown = "Trained on the training rows."
        flatters = "The validation rows chose the epoch that is exported, so these figures flatter a little."
    rows = ", ".join(f"{count:,} {name}" for name, count in data["rows"].items())
    return f"""# Model card: a variational autoencoder of {data["name"]}

![Samples from the prior](samples.png)

Means of p(x | z) for 64 draws of z from the prior, unselected.

![Reconstructions](reconstructions.png)

Validation rows (odd lines) above their reconstructions from the mean of q(z | x) (even lines).

## Model

| | |
|---|---|
| items | {" x ".join(map(str, item.shape))}, values {item.range} |
| latent size | {manifest.latent_size} |
| prior p(z) | {prior} |
| likelihood p(x given z) | {likelihood} |
| parameters | {parameters:,} |
| decoder | {decode_macs / 1e6:.2f} million multiply-adds a row |
| preset | {config["preset"]}; the whole configuration is in manifest.json |

## Data and training

{data["name"]}: {rows}; validation rows are {data["validation"]}. {shown} Rows are {seen}.
sha256 of all rows: `{data["sha256"]}`.

{trained} Code: commit {provenance["git_commit"] or "unknown"}.

## Figures

On {metrics["rows"]:,.0f} validation rows, {seen}, from the exported graphs; nats per item. The ELBO is better
when higher, the others when lower.

| | |
|---|---|
| ELBO | {metrics["elbo"]:.2f} |
| -log p(x), {metrics["nll_importance_samples"]:.0f} importance samples, {metrics["nll_rows"]:.0f} rows \
| {metrics["nll"]:.2f} ± {metrics["nll_standard_error"]:.2f} (standard error over rows) |
| reconstruction, -E log p(x given z) | {metrics["reconstruction_nll"]:.2f} |
| KL(q(z given x), p(z)) | {metrics["kl"]:.2f} |
| active latents (posterior mean varies by more than 0.01) | {metrics["active_units"]:.0f} of {manifest.latent_size} |

{flatters}

{_measured(evaluations)}
![KL per latent](latent_kl.png)

## Use and limits

Serve it with `python -m server --models exported`. It knows only images like those it was trained on: for anything else
its reconstructions and likelihoods mean little, and a high likelihood does not show that an image belongs to the data.
Samples repeat whatever the training rows contain.
"""


def _measured(evaluations: Sequence[Mapping[str, Any]]) -> str:
    if not evaluations:
        return (
            "For the published protocol on test rows: "
            "`python -m training evaluate FOLDER --data DATA --split test --importance-samples 5000`.\n"
        )
    lines = [
        "Measured afterwards on rows that neither training nor choice has seen, by `python -m training evaluate`; "
        "mean ± standard error over rows:\n",
        "| rows | -log p(x) | ELBO | reconstruction | KL |",
        "|---|---|---|---|---|",
    ]
    for found in evaluations:
        figures = " | ".join(
            f"{found[name]['mean']:.2f} ± {found[name]['standard_error']:.2f}"
            for name in ("nll", "elbo", "reconstruction_nll", "kl")
        )
        lines.append(
            f"| {found['rows']:,} {found['split']} rows of {found['data']}, binarisation {found['binarisation']}, "
            f"seed {found['seed']}, {found['samples']:,} importance samples | {figures} |"
        )
    return "\n".join(lines) + "\n"
