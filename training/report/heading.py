"""The top of a page: which run it is about, how many epochs are done, and its figures."""

from html import escape

from training.config.config import FlowPrior
from training.report import table
from training.report.findings import Findings
from training.report.table import number
from training.run import warm_start


def heading(findings: Findings) -> str:
    """The top of the page as HTML."""
    return (
        f'<p class="lead">{escape(_summary(findings))}</p>'
        + ("" if findings.finished else f'<p class="note">{escape(_unfinished(findings))}</p>')
        + _tiles(findings)
        + table.facts(_facts(findings))
    )


def _summary(findings: Findings) -> str:
    config, data = findings.config, findings.provenance["data"]
    return f"A variational autoencoder of {data['name']}, preset {config.preset}, {config.latent_size} latents."


def _unfinished(findings: Findings) -> str:
    done, wanted = findings.epochs[-1].epoch, findings.config.optimisation.epochs
    return f"This run is not finished: {done} of {wanted} epochs are done. The page shows its state so far."


def _tiles(findings: Findings) -> str:
    means = findings.chosen.validation
    tiles = (
        (f"validation ELBO, epoch {findings.chosen.epoch}", f"{number(means.elbo)} nats"),
        ("reconstruction, −E log p(x | z)", f"{number(means.reconstruction)} nats"),
        ("KL(q(z | x), p(z))", f"{number(means.kl)} nats"),
        ("active latents", f"{sum(findings.active)} of {len(findings.active)}"),
        ("parameters", f"{findings.parameters:,}"),
        ("multiply-adds a decode", f"{number(findings.decode_macs / 1e6, digits=3)} M"),
    )
    return (
        '<dl class="tiles">'
        + "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in tiles)
        + "</dl>"
    )


def _facts(findings: Findings) -> list[tuple[str, str]]:
    config, provenance = findings.config, findings.provenance
    origin = warm_start.origin(provenance)
    data = provenance["data"]
    rows = ", ".join(f"{count:,} {name}" for name, count in data["rows"].items())
    chosen = (
        "the last, because the run trains on the validation rows"
        if config.train_on == "all"
        else "the best on the validation rows"
    )
    prior = f"RealNVP, {config.prior.couplings} couplings" if isinstance(config.prior, FlowPrior) else "N(0, I)"
    return [
        ("model", f"{config.preset}: {config.architecture.kind}, {config.likelihood} likelihood, prior {prior}"),
        ("data", f"{data['name']}: {rows}; items {' × '.join(map(str, findings.item_shape))}"),
        ("validation rows", data["validation"]),
        ("data sha256", data["sha256"]),
        ("weights shown", f"averaged, of epoch {findings.chosen.epoch}, {chosen}"),
        ("epochs", f"{findings.epochs[-1].epoch} of {config.optimisation.epochs}"),
        ("seed", str(config.seed)),
        *([] if origin is None else [("began with", origin)]),
        ("machine", ", ".join(f"{name} {value}" for name, value in provenance["hardware"].items())),
        ("git commit", provenance["git_commit"] or "unknown"),
    ]
