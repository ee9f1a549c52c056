"""The one way from a request to a model: a lease, permission, and rows that are charged before anything runs."""

from contextlib import AbstractContextManager
from types import TracebackType

from server.core.call import Call, CallRecord
from server.core.model import Model
from server.core.spec import Spec
from server.core.vae.vae import Vae


class AdmittedModel:
    """A model that one request may use, as a context manager: it stays in memory until the request is answered.

    A handler checks its request against `spec`, and gets the computation in exchange for the rows that it will take:
    no handler can forget the quota.
    """

    __slots__ = ("_call", "_lease", "_record", "model", "spec")

    model: Model  # the version that answers
    spec: Spec  # its shapes and ranges, to check the request against

    def __init__(self, lease: AbstractContextManager[Model], call: Call, record: CallRecord) -> None:
        """`record` learns the model and the rows."""
        self._lease, self._call, self._record = lease, call, record

    def __enter__(self) -> "AdmittedModel":
        """Raises PermissionDenied for a model that is not for this caller."""
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
        """So many rows are asked for, whether or not the rest of the request is valid."""
        self._record.rows = rows

    def charge(self, rows: int, *, field: str) -> Vae:
        """The computation, in exchange for `rows`: `field` of the request asks for them.

        Raises QuotaExceeded, or InvalidInput for more than the caller can ever have at once.
        """
        self._call.allowance.charge(rows, field=field)
        return self.model.vae
