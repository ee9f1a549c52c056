"""Admission, the only way from a request to a model: a lease, a check of permission, and a charge for its rows."""

from contextlib import AbstractContextManager
from types import TracebackType

from server.core.call import Call, CallRecord
from server.core.model import Model
from server.core.spec import Spec
from server.core.vae.vae import Vae


class AdmittedModel:
    """Context manager around a model for one request: the model stays in memory until the request is answered.

    A handler checks its request against `spec`. It gets the computation from `charge` only, so that no handler can
    forget the quota.
    """

    __slots__ = ("_call", "_lease", "_record", "model", "spec")

    model: Model  # the version that answers
    spec: Spec  # its shapes and ranges, to check the request against

    def __init__(self, lease: AbstractContextManager[Model], call: Call, record: CallRecord) -> None:
        """The model's name and version, and the rows, are written into `record`."""
        self._lease, self._call, self._record = lease, call, record

    def __enter__(self) -> "AdmittedModel":
        """Lease the model. Raises PermissionDenied if the caller may not use it."""
        model = self.model = self._lease.__enter__()
        self.spec = model.spec
        self._record.model, self._record.version = model.name, model.version
        try:
            self._call.allowance.check_model(model.name)
        except BaseException:
            self._lease.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lease.__exit__(kind, error, traceback)

    def note_rows(self, rows: int) -> None:
        """Record the number of requested rows, even if the rest of the request turns out to be invalid."""
        self._record.rows = rows

    def charge(self, rows: int, *, field: str) -> Vae:
        """Charge `rows` to the caller and return the computation. `field` is the request's field that asks for them.

        Raises QuotaExceeded, or InvalidInput naming `field` for more rows than the caller may ever have at once.
        """
        self._call.allowance.charge(rows, field=field)
        return self.model.vae
