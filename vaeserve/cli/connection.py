"""How a command connects: the options for server, model and access, and the exit codes of errors."""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Concatenate, NoReturn, ParamSpec, TypeAlias, TypeVar

import click

from vaeserve.access import Tls
from vaeserve.async_client import AsyncClient
from vaeserve.client import Client
from vaeserve.errors import DeadlineExceeded, InvalidInput, NotFound, Unavailable, VaeServeError
from vaeserve.results import ModelInfo

P = ParamSpec("P")
C = TypeVar("C", Client, AsyncClient)
Decorator: TypeAlias = Callable[[Callable[..., None]], Callable[..., None]]

DEFAULT_TARGET = "127.0.0.1:50051"
TARGET_VARIABLE = "VAESERVE_TARGET"
INTERRUPTED = 130  # 128 + SIGINT, as in shells

ACCESS_VARIABLES = {
    "tls_ca": "VAESERVE_TLS_CA",
    # Not VAESERVE_TLS_CERTIFICATE and VAESERVE_TLS_KEY: the server reads those, and a container may set both pairs.
    "tls_certificate": "VAESERVE_CLIENT_CERTIFICATE",
    "tls_key": "VAESERVE_CLIENT_KEY",
    "tls_server_name": "VAESERVE_TLS_SERVER_NAME",
    "api_key_file": "VAESERVE_API_KEY_FILE",
}
_FILE = click.Path(dir_okay=False)


def _access_option(name: str, help: str, **options: Any) -> Decorator:
    return click.option(
        "--" + name.replace("_", "-"), envvar=ACCESS_VARIABLES[name], show_envvar=True, help=help, **options
    )


_TARGET_OPTION: Decorator = click.option(
    "--target", envvar=TARGET_VARIABLE, default=DEFAULT_TARGET, show_default=True, show_envvar=True,
    metavar="HOST:PORT", help="The server.",
)  # fmt: skip
_MODEL_OPTIONS: tuple[Decorator, ...] = (
    click.option("--model", metavar="NAME", help="The model; by default the server's."),
    click.option("--version", metavar="N", help="The model's version; by default the newest ready one."),
)
_ACCESS_OPTIONS: tuple[Decorator, ...] = (
    _access_option("tls_ca", "Encrypt, and trust certificates that these authorities (PEM) have issued.", type=_FILE),
    _access_option("tls_certificate", "Encrypt, and show this certificate (PEM) to servers that ask.", type=_FILE),
    _access_option("tls_key", "The private key (PEM) of that certificate.", type=_FILE),
    _access_option(
        "tls_server_name",
        "Encrypt; the name in the server's certificate, if not the host of --target.",
        metavar="NAME",
    ),
    _access_option("api_key_file", "A file with an API key, for servers with tenants.", type=_FILE),
)


@dataclass(frozen=True, slots=True)
class Access:
    """The values of the options for TLS and keys."""

    tls_ca: str | None
    tls_certificate: str | None
    tls_key: str | None
    tls_server_name: str | None
    api_key_file: str | None

    @staticmethod
    def of_environment(environment: Mapping[str, str]) -> "Access":
        return Access(**{name: environment.get(variable) or None for name, variable in ACCESS_VARIABLES.items()})

    def tls(self) -> Tls | bool:
        """The TLS settings, or False if no option for TLS is given."""
        if not (self.tls_ca or self.tls_certificate or self.tls_key or self.tls_server_name):
            return False
        return Tls(self.tls_ca, self.tls_certificate, self.tls_key, self.tls_server_name)


class BadInput(click.ClickException):
    """A mistake of the user, in one line."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Connection:
    """The server and the model that a command's options name."""

    target: str
    model: str | None
    version: str | None
    timeout: float  # seconds that one request may take
    access: Access

    def open(self, kind: type[C], /, **options: Any) -> C:
        """A client of this class, with further options of its own."""
        return kind(
            self.target,
            model=self.model,
            version=self.version,
            timeout=self.timeout,
            tls=self.access.tls(),
            api_key_file=self.access.api_key_file,
            **options,
        )


def connected(command: Callable[Concatenate[Client, P], None]) -> Callable[..., None]:
    """Give a command a client, the options for server and model, and the exit codes of the program."""
    return _with_connection(_with_client(command), timeout=30.0)


def connecting(command: Callable[Concatenate[Connection, P], None]) -> Callable[..., None]:
    """As `connected`, for a command that opens its clients itself."""
    return _with_connection(command, timeout=30.0)


def probing(command: Callable[Concatenate[Client, P], None]) -> Callable[..., None]:
    """As `connected`, for a command that asks no model and must answer soon."""
    return _with_connection(_with_client(command), timeout=5.0, model_options=())


def pin(client: Client) -> tuple[Client, ModelInfo]:
    """A client of exactly the version that answers now, and that version: all pages must come from one model."""
    model = client.get_model()
    return client.using(model.summary.model.name, model.summary.model.version), model


def _with_client(command: Callable[Concatenate[Client, P], None]) -> Callable[Concatenate[Connection, P], None]:
    @functools.wraps(command)
    def run(connection: Connection, /, *args: P.args, **options: P.kwargs) -> None:
        with connection.open(Client) as client:
            command(client, *args, **options)

    return run


def _with_connection(
    command: Callable[..., None],
    *,
    timeout: float,
    model_options: tuple[Decorator, ...] = _MODEL_OPTIONS,
) -> Callable[..., None]:
    """Gather the options of server, model and access into the connection that the command takes first."""
    timeout_option: Decorator = click.option(
        "--timeout", type=click.FloatRange(min=0, min_open=True), default=timeout, show_default=True,
        metavar="SECONDS", help="How long one request may take.",
    )  # fmt: skip

    @functools.wraps(command)
    def run(
        *, target: str, model: str | None = None, version: str | None = None, timeout: float, **options: Any
    ) -> None:
        access = Access(**{name: options.pop(name) for name in ACCESS_VARIABLES})
        with _errors_in_one_line(target, timeout):
            command(Connection(target, model, version, timeout, access), **options)

    decorated: Callable[..., None] = run
    for option in reversed((_TARGET_OPTION, *model_options, timeout_option, *_ACCESS_OPTIONS)):
        decorated = option(decorated)
    return decorated


@contextmanager
def _errors_in_one_line(target: str, timeout: float) -> Iterator[None]:
    """Turn errors into one line and an exit code."""
    try:
        yield
    except VaeServeError as error:
        _fail(error, target, timeout)
    except OSError as error:  # of files: missing, unreadable, no space left
        raise BadInput(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from error
    except KeyboardInterrupt:
        click.get_current_context().exit(INTERRUPTED)


def _fail(error: VaeServeError, target: str, timeout: float) -> NoReturn:
    if isinstance(error, InvalidInput | NotFound):
        raise BadInput(error.message) from error
    if isinstance(error, DeadlineExceeded):
        raise click.ClickException(f"no answer from {target} within {timeout:g} s ({error})") from error
    if isinstance(error, Unavailable):
        raise click.ClickException(f"{target} is unavailable: {error}") from error
    raise click.ClickException(error.message) from error
