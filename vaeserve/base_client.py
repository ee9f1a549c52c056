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

        target           "HOST:PORT", or any name gRPC can resolve; calls take turns among all its addresses
        model            the model to ask; None: the server's default
        version          its version; None: the server's choice, by default the newest ready one
        timeout          seconds that a call may take, retries included; None: no limit
        tls              how to encrypt and whom to trust; True: TLS with gRPC's own list of authorities; False: no TLS
        api_key          the key that servers with tenants ask for; without TLS it can be read on the way
        api_key_file     a file that holds the key instead, read again when it changes
        channels         connections to each address, used in turn; each reaches one of the server's workers
        embedding_space  the space of the vectors already stored; every `encode` that names no other must match it

        Raises InvalidInput for a file that cannot be read or used.
        """
        self._model = calls.choose(model, version, embedding_space)
        self._timeout = arguments.positive(timeout)
        self._api_key = ApiKey(api_key, api_key_file)
        self._channels = Rotation(partial(self._open, target, tls), channels)

    def using(self, model: str | None, version: str | int | None = None) -> Self:
        """A client of another model over the same connections. Closing one client closes both.

        The new client has no pinned embedding space, since that space belongs to the first model.
        """
        other = copy.copy(self)
        other._model = calls.choose(model, version)
        return other

    @staticmethod
    @abstractmethod
    def _open(target: str, tls: Tls | bool, options: Options) -> C:
        """A channel that connects on the first call."""
