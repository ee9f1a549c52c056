"""The repository: finds and lists models by the names that clients of the Open Inference Protocol use."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from server.core.call import Call, CallRecord
from server.core.model import Entry, Model, Models
from server.edge.admission import AdmittedModel
from server.edge.inference_v2.parameters import quoted
from server.edge.inference_v2.views import VIEWS, View
from server.errors import InvalidInput, NotFound


@dataclass(frozen=True, slots=True)
class LeasedView:
    """A view of a model version that takes traffic and stays in memory meanwhile."""

    name: str
    view: View
    admitted: AdmittedModel

    @property
    def model(self) -> Model:
        return self.admitted.model


@dataclass(frozen=True, slots=True)
class ListedView:
    """A view of a model version in any state."""

    name: str
    view: View
    entry: Entry


class Repository:
    """Every view of every model. A model's name takes precedence over a view: a VAE may be called `a-encoder`."""

    def __init__(self, models: Models) -> None:
        self._models = models

    @contextmanager
    def admitted(self, name: str, version: str, call: Call, record: CallRecord) -> Iterator[LeasedView]:
        """A view in this version, which stays in memory meanwhile; if `version` is empty, routing chooses one.

        Raises InvalidInput, NotFound, Unavailable or PermissionDenied.
        """
        base, view = self._split(name)
        with AdmittedModel(self._models.lease(base, version, ""), call, record) as admitted:
            yield LeasedView(name, view, admitted)

    def listed(self, name: str = "", version: str = "") -> Iterator[ListedView]:
        """All views, or those with this name and this version. Raises NotFound for an unknown name."""
        if name:
            self._split(name)
        own = self._own()
        for entry in self._models.entries():
            for view in VIEWS:
                full = entry.name + view.suffix
                shadowed = view.suffix and full in own
                if not shadowed and name in ("", full) and version in ("", entry.version):
                    yield ListedView(full, view, entry)

    def _split(self, name: str) -> tuple[str, View]:
        if not name:
            raise InvalidInput("model_name", "is needed")
        own = self._own()
        for view in VIEWS:
            base = name.removesuffix(view.suffix)
            if base in own and base + view.suffix == name:
                return base, view
        known = ", ".join(dict.fromkeys(listed.name for listed in self.listed()))
        raise NotFound(f"model_name: no model {quoted(name)}; there are {known}")

    def _own(self) -> set[str]:
        return {entry.name for entry in self._models.entries()}
