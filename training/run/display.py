"""Display: shows a run in the terminal, with a progress bar and one line per epoch."""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training.run.progress import EpochDone, Event


class Display:
    """Shows the events that `fit` reports. Without a terminal it writes only the lines of the epochs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("epoch 1", total=None, figures="")

    def __enter__(self) -> "Display":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        if isinstance(event, EpochDone):
            self._console.print(_line(event), highlight=False, markup=False, soft_wrap=True)
            return
        means = event.means
        self._progress.update(
            self._task,
            description=f"epoch {event.epoch}/{event.epochs}",
            completed=event.step,
            total=event.steps,
            figures=f"ELBO {means.elbo:.2f}  reconstruction {means.reconstruction:.2f}  KL {means.kl:.2f}  "
            f"{event.rows_per_second:,.0f} rows/s",
        )


def _line(event: EpochDone) -> str:
    train, validation = event.train, event.validation
    return (
        f"epoch {event.epoch:>{len(str(event.epochs))}}/{event.epochs}  "
        f"train ELBO {train.elbo:8.2f}  validation ELBO {validation.elbo:8.2f} "
        f"(reconstruction {validation.reconstruction:.2f}, KL {validation.kl:.2f})  "
        f"{'' if event.bound is None else f'bound {event.bound:.2f}  '}"
        f"{event.rows_per_second:,.0f} rows/s{'  best' if event.best else ''}"
    )
