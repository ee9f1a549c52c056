"""Every setting of the server: its name, default, parser and help text."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from server.settings.values import choice, number, origins, port_or_off


def _setting(default: Any, parse: Callable[[str], Any], text: str) -> Any:
    return field(default=default, metadata={"parse": parse, "help": text})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one server."""

    models: Path = _setting(Path("exported"), Path, "folder of <model>/<version>/ artifacts")
    default_model: str = _setting(
        "", str, "model for requests that name none; if empty, the `default` of models.toml, or the only model"
    )
    watch_seconds: float = _setting(
        1.0, number(float, 0, 86400), "seconds between two scans of the --models folder; 0: only on request"
    )
    rollback_seconds: float = _setting(
        600.0, number(float, 0, 604800), "seconds that a version stays in memory after it was last needed"
    )
    admin_socket: str = _setting("", str, "path of a Unix socket for the admin service; none if empty")
    host: str = _setting("127.0.0.1", str, "address to listen on for gRPC; 0.0.0.0 is every interface")
    port: int = _setting(50051, number(int, 0, 65535), "port for gRPC; 0 lets the system choose")
    transport: Literal["auto", "envoy", "grpcio"] = _setting(
        "auto",
        choice("auto", "envoy", "grpcio"),
        "library that carries gRPC: Envoy around this server (extra envoy; Linux), or grpcio; auto: Envoy if installed",
    )
    web: Literal["on", "off"] = _setting(
        "on", choice("on", "off"), "HTTP/JSON (the Connect protocol), gRPC-Web and the web page: with Envoy, on --port"
    )
    web_port: int | Literal["off"] = _setting(
        "off",
        port_or_off,
        "port for HTTP/JSON and the web page with grpcio (extra web), or off; 0 lets the system choose",
    )
    web_origins: str = _setting(
        "",
        origins,
        "origins whose pages may call, besides the server's own: https://NAME, separated by commas; * is every origin",
    )
    profile: Literal["development", "production"] = _setting(
        "development",
        choice("development", "production"),
        "production: no reflection, and no unencrypted port that other machines can reach, unless other flags say so",
    )
    tls_certificate: str = _setting("", str, "file with the server's certificate and its chain, PEM; turns on TLS")
    tls_key: str = _setting("", str, "file with the certificate's private key, PEM, without a password")
    tls_client_ca: str = _setting(
        "", str, "file with certificates, PEM; clients must have a certificate issued by one of these (mutual TLS)"
    )
    plaintext: Literal["auto", "allow", "refuse"] = _setting(
        "auto",
        choice("auto", "allow", "refuse"),
        "whether to serve without TLS where other machines can connect; auto: refuse in production, else warn",
    )
    api_keys: str = _setting(
        "", str, "file with the tenants, the hashes of their keys and their quotas, TOML; without it anyone may call"
    )
    keepalive_seconds: float = _setting(
        60.0, number(float, 1, 86400), "seconds of silence after which a connection is pinged"
    )
    max_connection_age: float = _setting(
        1800.0,
        number(float, 0, 31536000),
        "seconds after which a connection takes no new calls, so that clients reconnect and spread; 0: no limit",
    )
    workers: int = _setting(1, number(int, 1, 64), "number of processes that serve the port")
    metrics_host: str = _setting("127.0.0.1", str, "address to listen on for metrics")
    metrics_port: int = _setting(9464, number(int, 0, 65535), "port for Prometheus metrics; 0 lets the system choose")
    device: Literal["cpu", "cuda", "auto"] = _setting(
        "cpu",
        choice("cpu", "cuda", "auto"),
        "where graphs run; cuda: exit if CUDA does not work; auto: CUDA if it works, else the CPU, which the log says",
    )
    cuda_graphs: Literal["on", "off"] = _setting(
        "off", choice("on", "off"), "capture a graph's work on the GPU once for each batch size, then replay it"
    )
    max_batch_rows: int = _setting(0, number(int, 0, 65536), "rows in one batch; 0: measured for each graph")
    executors: int = _setting(0, number(int, 0, 64), "batches of a graph that run at once; 0: measured for each graph")
    threads: int = _setting(0, number(int, 0, 64), "threads inside one run on a CPU; 0: measured for each graph")
    calibration_cache: str = _setting(
        "",
        str,
        "folder that keeps these measurements, or off; by default vaeserve/calibration in XDG_CACHE_HOME or ~/.cache",
    )
    max_request_rows: int = _setting(4096, number(int, 1, 1 << 20), "rows that one request may hold")
    max_request_mib: int = _setting(
        0,
        number(int, 0, 2047),
        "MiB that one request may hold; 0: for --max-request-rows of any model at the start",
    )
    max_queue_rows: int = _setting(16384, number(int, 1, 1 << 24), "rows that may wait for one graph")
    max_queue_mib: int = _setting(256, number(int, 1, 1 << 16), "MiB of rows that may wait for one graph")
    max_seconds: float = _setting(30.0, number(float, 0.01, 3600), "longest time in seconds that a request may take")
    drain_delay: float = _setting(
        0.0, number(float, 0, 600), "seconds to keep serving after SIGTERM, while load balancers notice NOT_SERVING"
    )
    drain_seconds: float = _setting(
        30.0, number(float, 0, 3600), "seconds to finish accepted requests, after --drain-delay"
    )
    reflection: Literal["auto", "on", "off"] = _setting(
        "auto", choice("auto", "on", "off"), "gRPC server reflection; auto: on, but off in production"
    )
    access_log: float = _setting(
        0.0, number(float, 0, 1), "share of the OK calls to log; other calls are always logged, up to 100 a second"
    )
    traces: Literal["on", "off"] = _setting(
        "off", choice("on", "off"), "send OpenTelemetry traces as the OTEL_* variables say (extra otel)"
    )
    model_signature_key: str = _setting(
        "", str, "file with a public EC key, PEM; versions without its signature are refused (extra signing)"
    )
    log_format: Literal["json", "console"] = _setting("console", choice("json", "console"), "format of log lines")
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "info", choice("debug", "info", "warning", "error"), "lowest severity to log"
    )

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins whose pages may call, besides the server's own."""
        return tuple(filter(None, self.web_origins.split(",")))

    @property
    def reflects(self) -> bool:
        """Whether reflection is on."""
        return self.reflection == "on" or (self.reflection == "auto" and self.profile == "development")

    @property
    def reachable_unencrypted(self) -> bool:
        """Whether other machines can reach the port without encryption."""
        return not self.tls_certificate and not _is_loopback(self.host)

    @property
    def calibration_folder(self) -> Path | None:
        """The folder that keeps measured rates; None: they are not kept."""
        return None if self.calibration_cache in ("", "off") else Path(self.calibration_cache)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
