"""The section about training: six charts over the epochs of a run, and a table of the same values."""

from html import escape

from training.report import table
from training.report.charts import Chart, Series, lines
from training.report.table import number
from training.run.progress import EpochDone

LEFT_OUT = 0.1  # the first fraction of the epochs, whose low ELBO would make the rest of the curve look flat
HEAD = ("epoch", "ELBO", "reconstruction", "KL", "training ELBO", "reconstruction", "KL", "rows/s", "rate", "")


def curves(epochs: tuple[EpochDone, ...]) -> str:
    """The section as HTML."""
    settled = round(LEFT_OUT * len(epochs))
    cut = f" Epochs up to {settled} may lie below the ELBO's chart." if settled else ""
    numbers = tuple(epoch.epoch for epoch in epochs)
    return (
        '<p class="caption">Validation measures the averaged weights, training those of each step. '
        f'The last value stands beside each name.{cut}</p><div class="charts">'
        + "".join(
            f"<figure><h3>{escape(chart.title)}</h3>{lines(chart, epochs=numbers)}</figure>"
            for chart in _charts(epochs, settled)
        )
        + f"</div><details><summary>All epochs as a table</summary>{table.figures(HEAD, map(_row, epochs))}</details>"
    )


def _charts(epochs: tuple[EpochDone, ...], settled: int) -> tuple[Chart, ...]:
    validation, train = [epoch.validation for epoch in epochs], [epoch.train for epoch in epochs]

    def both(of_validation: list[float], of_train: list[float]) -> tuple[Series, ...]:
        return Series("validation", tuple(of_validation)), Series("training", tuple(of_train))

    return (
        Chart(
            title="ELBO, nats",
            unit="nats",
            series=both([m.elbo for m in validation], [m.elbo for m in train]),
            settled=settled,
        ),
        Chart(
            title="Reconstruction, −E log p(x | z), nats",
            unit="nats",
            series=both([m.reconstruction for m in validation], [m.reconstruction for m in train]),
        ),
        Chart(
            title="KL(q(z | x), p(z)), nats",
            unit="nats",
            series=both([m.kl for m in validation], [m.kl for m in train]),
        ),
        _alone("Rows per second", "rows/s", "training", [epoch.rows_per_second for epoch in epochs]),
        _alone("Learning rate", "learning rate", "at the epoch's end", [epoch.learning_rate for epoch in epochs]),
        _alone("Weight of KL", "weight", "at the epoch's end", [epoch.kl_weight for epoch in epochs]),
    )


def _alone(title: str, unit: str, name: str, values: list[float]) -> Chart:
    return Chart(title=title, unit=unit, series=(Series(name, tuple(values)),), from_zero=True)


def _row(epoch: EpochDone) -> tuple[str, ...]:
    means = (epoch.validation, epoch.train)
    return (
        str(epoch.epoch),
        *(f"{value:.2f}".replace("-", "−") for each in means for value in (each.elbo, each.reconstruction, each.kl)),
        f"{epoch.rows_per_second:,.0f}",
        number(epoch.learning_rate, digits=3),
        "best so far" if epoch.best else "",
    )
