"""Every setting of the server: read once, from flags and VAESERVE_* variables, into a frozen object.

A flag beats its variable, a variable beats the default. All mistakes are told at once.
"""

import argparse
import ipaddress
import math
import os
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

PREFIX = "VAESERVE_"


class BadSettings(Exception):
    """One or more settings are wrong; the message has a line for each."""


def _number(kind: type[int] | type[float], least: float, most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise ValueError(f"must be a number {least:g}..{most:g}") from None
        if not least <= value <= most:
            raise ValueError(f"must be {least:g}..{most:g}")
        return value

    return parse


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text

    return parse


def _port_or_off(text: str) -> float | str:
    if text == "off":
        return text
    try:
        return _number(int, 0, 65535)(text)
    except ValueError as error:
        raise ValueError(f"{error}, or off") from None


def _origins(text: str) -> str:
    for origin in filter(None, text.split(",")):
        if origin != "*" and not re.fullmatch(r"https?://[^/\s]+", origin):
            raise ValueError("must be * or like https://name:port, several with commas")
    return text


def _setting(default: Any, parse: Callable[[str], Any], text: str) -> Any:
    return field(default=default, metadata={"parse": parse, "help": text})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the server was told."""

    models: Path = _setting(Path("exported"), Path, "folder of <model>/<version>/ artifacts")
    default_model: str = _setting(
        "", str, "model for requests that name none; else the `default` of models.toml, or the only model"
    )
    watch_seconds: float = _setting(
        1.0, _number(float, 0, 86400), "seconds from one look at that folder to the next; 0: only when asked to"
    )
    rollback_seconds: float = _setting(
        600.0, _number(float, 0, 604800), "seconds that a version stays in memory after it was last needed"
    )
    admin_socket: str = _setting("", str, "path of a Unix socket for the admin service; none if empty")
    host: str = _setting("127.0.0.1", str, "address to listen on for gRPC; 0.0.0.0 is every interface")
    port: int = _setting(50051, _number(int, 0, 65535), "port for gRPC; 0 lets the system choose")
    transport: Literal["auto", "envoy", "grpcio"] = _setting(
        "auto",
        _choice("auto", "envoy", "grpcio"),
        "what carries gRPC: an Envoy with this server inside, or grpcio; auto is Envoy where it is installed",
    )
    web: Literal["on", "off"] = _setting(
        "on", _choice("on", "off"), "HTTP/JSON (the Connect protocol), gRPC-Web and the page: with Envoy on --port"
    )
    web_port: int | Literal["off"] = _setting(
        "off", _port_or_off, "port for HTTP/JSON and the page with grpcio, or off; 0 lets the system choose"
    )
    web_origins: str = _setting(
        "", _origins, "origins whose pages may call, beside the server's own: https://NAME, with commas; * is every one"
    )
    profile: Literal["development", "production"] = _setting(
        "development",
        _choice("development", "production"),
        "production: no reflection, and no unencrypted port that other machines can reach, unless asked for",
    )
    tls_certificate: str = _setting("", str, "file with the server's certificate and its chain, PEM; turns on TLS")
    tls_key: str = _setting("", str, "file with the certificate's private key, PEM")
    tls_client_ca: str = _setting(
        "", str, "file with certificates, PEM; clients must have one issued by these (mutual TLS)"
    )
    plaintext: Literal["auto", "allow", "refuse"] = _setting(
        "auto",
        _choice("auto", "allow", "refuse"),
        "without TLS on an address that other machines can reach; auto: refuse in production, else warn",
    )
    api_keys: str = _setting("", str, "file that lists tenants, their keys' hashes and quotas, TOML; else all may call")
    keepalive_seconds: float = _setting(
        60.0, _number(float, 1, 86400), "a connection that was silent for so long is asked whether it lives"
    )
    max_connection_age: float = _setting(
        1800.0,
        _number(float, 0, 31536000),
        "seconds after which a connection takes no new calls, so that clients spread anew; 0: any age",
    )
    workers: int = _setting(1, _number(int, 1, 64), "processes that serve the port side by side")
    metrics_host: str = _setting("127.0.0.1", str, "address to listen on for metrics")
    metrics_port: int = _setting(9464, _number(int, 0, 65535), "port for Prometheus metrics; 0 lets the system choose")
    device: Literal["cpu", "cuda", "auto"] = _setting(
        "cpu", _choice("cpu", "cuda", "auto"), "where graphs run; auto is CUDA if it works, else the CPU, and says so"
    )
    cuda_graphs: Literal["on", "off"] = _setting(
        "off", _choice("on", "off"), "capture a GPU's work once for each size of batch and replay it"
    )
    max_batch_rows: int = _setting(0, _number(int, 0, 65536), "rows run at once; 0: measured for each graph")
    executors: int = _setting(0, _number(int, 0, 64), "batches of a graph that run at once; 0: measured for each graph")
    threads: int = _setting(0, _number(int, 0, 64), "threads inside one run on CPU; 0: measured for each graph")
    calibration_cache: str = _setting(
        "",
        str,
        "folder to keep what was measured in, or off; else vaeserve/calibration under XDG_CACHE_HOME or ~/.cache",
    )
    max_request_rows: int = _setting(4096, _number(int, 1, 1 << 20), "rows that one request may hold")
    max_request_mib: int = _setting(
        0, _number(int, 0, 2047), "MiB that one request may hold; 0: what the models at the start allow"
    )
    max_queue_rows: int = _setting(16384, _number(int, 1, 1 << 24), "rows that may wait for one graph")
    max_queue_mib: int = _setting(256, _number(int, 1, 1 << 16), "MiB of rows that may wait for one graph")
    max_seconds: float = _setting(30.0, _number(float, 0.01, 3600), "longest that any request may take")
    drain_delay: float = _setting(
        0.0, _number(float, 0, 600), "seconds to go on serving after SIGTERM while load balancers notice NOT_SERVING"
    )
    drain_seconds: float = _setting(30.0, _number(float, 0, 3600), "seconds to finish accepted requests after that")
    reflection: Literal["auto", "on", "off"] = _setting(
        "auto", _choice("auto", "on", "off"), "gRPC server reflection; auto: on, but off in production"
    )
    access_log: float = _setting(
        0.0, _number(float, 0, 1), "share of the calls that end OK to log; others are logged anyhow, up to 100 a second"
    )
    traces: Literal["on", "off"] = _setting(
        "off", _choice("on", "off"), "send OpenTelemetry traces as the OTEL_* variables say; needs the extra otel"
    )
    model_signature_key: str = _setting(
        "", str, "file with a public EC key, PEM; versions that it has not signed are refused (OpenSSF model signing)"
    )
    log_format: Literal["json", "console"] = _setting("console", _choice("json", "console"), "how log lines look")
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "info", _choice("debug", "info", "warning", "error"), "least severity to log"
    )

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins whose pages may call, beside the server's own."""
        return tuple(filter(None, self.web_origins.split(",")))

    @property
    def reflects(self) -> bool:
        """Whether reflection is on."""
        return self.reflection == "on" or (self.reflection == "auto" and self.profile == "development")

    @property
    def reachable_unencrypted(self) -> bool:
        """Whether other machines can reach the port, and what they say can be read on the way."""
        return not self.tls_certificate and not _is_loopback(self.host)

    @property
    def calibration_folder(self) -> Path | None:
        """Where measured rates are kept; None: nowhere."""
        return None if self.calibration_cache in ("", "off") else Path(self.calibration_cache)


def read(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Settings from command-line arguments and an environment. Raises BadSettings.

    `--help` and unknown flags end the process, as argparse does.
    """
    given = vars(_parser().parse_args(arguments))
    values: dict[str, Any] = {}
    problems: list[str] = []
    known = {PREFIX + setting.name.upper() for setting in fields(Settings)}
    for setting in fields(Settings):
        flag, variable = _flag(setting), PREFIX + setting.name.upper()
        source, text = (
            (flag, given[setting.name]) if given[setting.name] is not None else (variable, environment.get(variable))
        )
        if text is None:
            continue
        try:
            values[setting.name] = setting.metadata["parse"](text)
        except ValueError as error:
            problems.append(f"{source} {error}, got {text!r}")
    problems += [
        f"{name} is no setting"
        for name in sorted(environment)
        if name.startswith(PREFIX) and name not in known | NOT_OURS
    ]
    values.setdefault("calibration_cache", _calibration_cache(environment))
    settings = Settings(**values)
    if settings.max_request_rows > settings.max_queue_rows:
        problems.append(
            f"--max-request-rows {settings.max_request_rows} must not exceed --max-queue-rows "
            f"{settings.max_queue_rows}: such a request could never be accepted"
        )
    if settings.web_port == 0 and settings.workers > 1:
        problems.append("--web-port 0 must be a port of your choice where --workers share it")
    if settings.web_port != "off" and settings.tls_certificate:
        problems.append("--web-port has no TLS: with --tls-certificate pages and JSON need the Envoy transport")
    problems += _unprotected(settings)
    if problems:
        raise BadSettings("\n".join(problems))
    return settings


def _unprotected(settings: Settings) -> list[str]:
    """What is wrong with how connections are protected."""
    problems = []
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        problems.append("--tls-certificate and --tls-key come together")
    if settings.tls_client_ca and not settings.tls_certificate:
        problems.append("--tls-client-ca needs --tls-certificate and --tls-key")
    refused = settings.plaintext == "refuse" or (settings.plaintext == "auto" and settings.profile == "production")
    if refused and settings.reachable_unencrypted:
        problems.append(
            f"--host {settings.host} can be reached from other machines and nothing encrypts: give --tls-certificate "
            "and --tls-key, or --plaintext allow if something in front does it"
        )
    return problems


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# Read by the client, the tests and the training package, which share the prefix.
NOT_OURS = {
    PREFIX + name
    for name in (
        *("TARGET", "DATA", "MODEL", "VERSION", "TIMEOUT"),
        *("TLS_CA", "CLIENT_CERTIFICATE", "CLIENT_KEY", "TLS_SERVER_NAME", "API_KEY_FILE"),
    )
}


def cores(*, cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """The processors this process may use: what taskset and a container's CPU quota leave of the machine."""
    affinity = len(os.sched_getaffinity(0))
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:  # the first version of control groups
            quota, period = ((cgroup / f"cpu/cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        limit = math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # none is set, or none can be
        return affinity
    return affinity if limit < 1 else min(affinity, limit)


def _calibration_cache(environment: Mapping[str, str]) -> str:
    """The folder for it among the user's caches (XDG Base Directory Specification 0.8); empty if there is no user's."""
    given, home = environment.get("XDG_CACHE_HOME", ""), environment.get("HOME", "")
    caches = Path(given) if Path(given).is_absolute() else Path(home) / ".cache"
    return str(caches / "vaeserve" / "calibration") if caches.is_absolute() else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m server",
        description="Serve exported variational autoencoders over gRPC.",
        epilog=f"Every flag --some-flag may be given as {PREFIX}SOME_FLAG.",
        allow_abbrev=False,
    )
    for setting in fields(Settings):
        kind = setting.metadata["help"]
        choices = typing.get_args(setting.type) if typing.get_origin(setting.type) is Literal else ()
        parser.add_argument(
            _flag(setting),
            dest=setting.name,
            metavar="|".join(choices) if choices else setting.name.rpartition("_")[2].upper(),
            help=f"{kind} (default: {setting.default})" if setting.default != "" else kind,
        )
    return parser


def _flag(setting: "Field[Any]") -> str:
    return "--" + setting.name.replace("_", "-")
