"""The gRPC channels of a client: encryption, retries, load balancing, message sizes, keepalive."""

import asyncio
import json
from collections.abc import Sequence
from typing import TypeAlias

import grpc
import grpc.aio

from vaeserve.access import Tls

Options: TypeAlias = Sequence[tuple[str, str | int]]

# gRPC itself retries within the call's deadline, and waits as long as the server's `grpc-retry-pushback-ms` says.
# Every RPC of the service is safe to repeat: it computes an answer and changes nothing. After many failures the
# throttle stops retries until calls succeed again. Health is not listed: a probe must report the present state.
_SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{"service": "vaeserve.v1.VaeService"}],
            "retryPolicy": {
                "maxAttempts": 5,  # the most that gRPC allows
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
}

OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    # A request longer than this buffer (256 KB by default) would never be retried.
    ("grpc.per_rpc_retry_buffer_size", 64 << 20),
    # The caller chooses a response's size by the rows it asks for; the server limits requests.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Detect a dead peer during a call. Idle connections send nothing.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Find a restarted server again soon.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 10_000),
)
# Without it, channels with the same options and address share one connection.
OWN_CONNECTION = ("grpc.use_local_subchannel_pool", 1)


def open_blocking(target: str, tls: Tls | bool, options: Options) -> grpc.Channel:
    """A channel that connects on the first call. Raises InvalidInput for TLS files that cannot be used."""
    if (settings := _settings(tls)) is None:
        return grpc.insecure_channel(target, options=options)
    return grpc.secure_channel(target, settings.credentials(), options=(*options, *settings.options()))


def open_async(target: str, tls: Tls | bool, options: Options) -> grpc.aio.Channel:
    """As open_blocking, for the running event loop. Raises RuntimeError outside of one."""
    asyncio.get_running_loop()  # without one, grpc would bind the channel to a loop that never runs
    if (settings := _settings(tls)) is None:
        return grpc.aio.insecure_channel(target, options=options)
    return grpc.aio.secure_channel(target, settings.credentials(), options=(*options, *settings.options()))


def _settings(tls: Tls | bool) -> Tls | None:
    if isinstance(tls, bool):
        return Tls() if tls else None
    return tls
