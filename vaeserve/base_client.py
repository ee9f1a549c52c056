"""What Client and AsyncClient share: the model they ask, the settings of their calls, and their connections."""

import copy
from abc import ABC, abstractmethod
from functools import partial
from typing import Generic, Self, TypeVar

from vaeserve import arguments, calls
from vaeserve.access import ApiKey, FilePath, Tls
from vaeserve.channel import Options
from vaeserve.rotation import Rotation

C = TypeVar("C")


class BaseClient(ABC, Generic[C]):
    """A client over channels of type C. The two clients add how a call is made on such a channel."""

    def __init__(
        self,
        target: str,
        *,
        model: str | None = None,
        version: str | int | None = None,
        timeout: float | None = 30.0,
        tls: Tls | bool = False,
        api_key: str | None = None,
        api_key_file: FilePath | None = None,
        channels: int = 1,
        embedding_space: str | None = None,
    ) -> None:
        """Connects on the first call.

        target           "HOST:PORT", or any name gRPC can resolve; calls go round all its addresses
        model            which model shall answer; None leaves it to the server
        version          which version of it; None means the newest ready one
        timeout          seconds that a call may take, retries included; None waits for ever
        tls              how to encrypt and whom to trust; True: the certificates that gRPC comes with; False: neither
        api_key          the key that servers with tenants ask for; without TLS whoever is on the way can read it
        api_key_file     instead, a file that holds it, read again when it changes
        channels         connections to each address, used in turn: of a server's workers, each connection reaches one
        embedding_space  of the vectors already stored: every encode that names no other relies on it

        Raises InvalidInput for a file that cannot be read or used.
        """
        self._model = calls.choose(model, version, embedding_space)
        self._timeout = arguments.positive(timeout)
        self._api_key = ApiKey(api_key, api_key_file)
        self._channels = Rotation(partial(self._open, target, tls), channels)

    def using(self, model: str | None, version: str | int | None = None) -> Self:
        """A client of another model over the same connection. Closing one closes both.

        An embedding space that was pinned is not the other model's, and is not taken along.
        """
        other = copy.copy(self)
        other._model = calls.choose(model, version)
        return other

    @staticmethod
    @abstractmethod
    def _open(target: str, tls: Tls | bool, options: Options) -> C:
        """A channel that connects on the first call."""
