"""A version in memory, and the calls that use it."""

from collections.abc import Callable, Sequence
from types import TracebackType

from server.core.batcher import Batcher
from server.core.model import Model


class Held:
    """As a context manager it leases its model to one call: what is retired is let go after the last of them."""

    __slots__ = ("_batchers", "_clock", "_leases", "_on_free", "model", "used")

    def __init__(self, model: Model, batchers: Sequence[Batcher], *, clock: Callable[[], float]) -> None:
        self.model = model
        self.used = clock()  # when the last call came
        self._batchers = batchers
        self._clock = clock
        self._leases = 0
        self._on_free: Callable[[], None] | None = None

    def __enter__(self) -> Model:
        self._leases += 1
        self.used = self._clock()
        return self.model

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leases -= 1
        self._let_go()

    def retire(self, on_free: Callable[[], None]) -> None:
        """Nobody will lease it again: call back once the last lease has ended."""
        self._on_free = on_free
        self._let_go()

    def close(self) -> None:
        """Finish what the batchers have accepted, then stop them. Blocks."""
        for batcher in self._batchers:
            batcher.close()

    def _let_go(self) -> None:
        if self._on_free is not None and self._leases == 0:
            on_free, self._on_free = self._on_free, None
            on_free()
