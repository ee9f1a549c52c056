"""Envoy's configuration: one listener whose requests go to pyvoy. Pure: settings go in, a document comes out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from server.edge.access.certificate import CertificateFiles
from server.edge.transports.connections import KEEPALIVE_ANSWER_SECONDS, Connections
from server.edge.transports.envoy.sds import Secrets

Document = dict[str, Any]
_TYPE = "type.googleapis.com/envoy.extensions"

# A stream's window limits what a caller may send before this process reads, and what this process may write before
# the caller reads. A connection's window has room for several such streams of requests.
STREAM_WINDOW_BYTES = 4 << 20
CONNECTION_WINDOW_BYTES = 64 << 20
CONNECTION_BUFFER_BYTES = 1 << 20  # written but not yet sent
MAX_CONCURRENT_STREAMS = 4096  # calls of one connection; clients hold further ones back until some end
MAX_HEADERS_KIB = 16  # as in grpcio
AGE_JITTER_PERCENT = 10  # of a connection's age, as in grpcio, so that connections of one age do not end together
NEVER = 1 << 31  # streams, more than any connection ever has
_GRPC_WEB = {
    "name": "envoy.filters.http.grpc_web",
    "typed_config": {"@type": f"{_TYPE}.filters.http.grpc_web.v3.GrpcWeb"},
}


def bootstrap(
    *,
    address: str,
    port: int,
    filters: Sequence[Document],
    admin: Path,
    hangups: Path,
    connections: Connections,
    protection: tuple[CertificateFiles, Secrets] | None = None,
    shared: bool = False,
    web: bool = False,
) -> Document:
    """Envoy's whole configuration, for its command line.

    filters      pyvoy's HTTP filters
    admin        the path of the admin interface's socket
    hangups      the file into which Envoy writes the ids of calls that end early
    connections  keepalive and maximum age
    protection   the certificate's files, and the secrets that tell Envoy of them; None: no encryption
    shared       whether other workers listen on the same port
    web          whether to accept HTTP/1.1 and gRPC-Web, which reaches pyvoy as gRPC
    """
    codec = "AUTO" if web else "HTTP2"
    manager = _manager([_GRPC_WEB, *filters] if web else filters, hangups, connections, codec=codec)
    listener = _listener(address, port, manager, shared=shared)
    if protection is not None:
        files, secrets = protection
        protocols = ["h2", "http/1.1"] if web else ["h2"]
        listener["filter_chains"][0]["transport_socket"] = secrets.transport_socket(files, protocols)
        if files.client_ca is not None:
            # Envoy sets the header from the verified certificate and removes a caller's own.
            manager["forward_client_cert_details"] = "SANITIZE_SET"
            manager["set_current_client_cert_details"] = {"dns": True, "uri": True}
    return {
        "admin": {"address": {"pipe": {"path": str(admin), "mode": 0o600}}},
        "node": {"id": "vaeserve", "cluster": "vaeserve"},  # SDS requires a node
        "static_resources": {"listeners": [listener]},
        "layered_runtime": {"layers": [{"name": "vaeserve", "static_layer": _runtime()}]},
    }


def _listener(address: str, port: int, manager: Document, *, shared: bool) -> Document:
    return {
        "name": "grpc",
        "address": {"socket_address": {"address": address, "port_value": port, "ipv4_compat": address == "::"}},
        # Off except for workers: a second server on the port would silently get a part of the calls.
        "enable_reuse_port": shared,
        "per_connection_buffer_limit_bytes": CONNECTION_BUFFER_BYTES,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _manager(filters: Sequence[Document], hangups: Path, connections: Connections, *, codec: str) -> Document:
    common: Document = {"idle_timeout": "0s"}
    if connections.max_age_seconds:
        common["max_connection_duration"] = _seconds(connections.max_age_seconds)
        common["max_connection_duration_jitter"] = {"value": AGE_JITTER_PERCENT}
    return {
        "@type": f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "grpc",
        "codec_type": codec,
        "http2_protocol_options": {
            "max_concurrent_streams": MAX_CONCURRENT_STREAMS,
            "initial_stream_window_size": STREAM_WINDOW_BYTES,
            "initial_connection_window_size": CONNECTION_WINDOW_BYTES,
            # The other codec, nghttp2, ends a connection after a thousand cancelled calls, without a setting for it.
            "use_oghttp2_codec": True,
            "connection_keepalive": {
                "interval": _seconds(connections.keepalive_seconds),
                "timeout": _seconds(KEEPALIVE_ANSWER_SECONDS),
            },
        },
        "max_request_headers_kb": MAX_HEADERS_KIB,
        # A health watch may be silent for days. The boundary enforces deadlines.
        "stream_idle_timeout": "0s",
        "common_http_protocol_options": common,
        # The time for open calls of a connection that has reached its maximum age.
        "drain_timeout": _seconds(connections.grace_seconds),
        "server_header_transformation": "PASS_THROUGH",
        "route_config": {"virtual_hosts": [{"name": "grpc", "domains": ["*"]}]},
        "http_filters": list(filters),
        # Envoy makes an id for every call and removes a caller's own, which could equal another call's id.
        "generate_request_id": True,
        "early_header_mutation_extensions": [_without_request_id()],
        "access_log": [_hangups(hangups)],
    }


def _seconds(value: float) -> str:
    """A google.protobuf.Duration."""
    return f"{value:.3f}s"


def _without_request_id() -> Document:
    return {
        "name": "vaeserve.own_request_id",
        "typed_config": {
            "@type": f"{_TYPE}.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            "mutations": [{"remove": "x-request-id"}],
        },
    }


def _hangups(hangups: Path) -> Document:
    """An access log with the id of every call that ended before its answer was complete, one a line."""
    return {
        "name": "vaeserve.hangups",
        "filter": {"response_flag_filter": {}},
        "typed_config": {
            "@type": f"{_TYPE}.access_loggers.file.v3.FileAccessLog",
            "path": str(hangups),
            "log_format": {"text_format_source": {"inline_string": "%REQ(X-REQUEST-ID)%\n"}},
        },
    }


def _runtime() -> Document:
    """Runtime settings: do not limit early resets.

    By default Envoy closes a connection if most of its streams are reset early. A client with short deadlines does
    that, and every other caller on its connection would lose its calls. Here a cancelled call frees its place at once.
    """
    return {"overload.premature_reset_total_stream_count": NEVER}
