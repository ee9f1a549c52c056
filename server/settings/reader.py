"""Reads the settings from flags and VAESERVE_* variables, and reports all mistakes together."""

import argparse
import typing
from collections.abc import Mapping, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, Literal

from server.settings.settings import Settings

PREFIX = "VAESERVE_"
# Variables of the client, the tests and the training package, which share the prefix.
NOT_OURS = {
    PREFIX + name
    for name in (
        *("TARGET", "DATA", "MODEL", "VERSION", "TIMEOUT"),
        *("TLS_CA", "CLIENT_CERTIFICATE", "CLIENT_KEY", "TLS_SERVER_NAME", "API_KEY_FILE"),
    )
}


class BadSettings(Exception):
    """One or more settings are wrong; the message has a line for each."""


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
        f"{name} is not a setting"
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
        problems.append("--web-port must be a fixed port with --workers above 1, which share it, got '0'")
    if settings.web_port != "off" and settings.tls_certificate:
        problems.append("--web-port has no TLS: with --tls-certificate, pages and JSON need --transport envoy")
    problems += _unprotected(settings)
    if problems:
        raise BadSettings("\n".join(problems))
    return settings


def _unprotected(settings: Settings) -> list[str]:
    """The mistakes in the settings of TLS and plaintext."""
    problems = []
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        problems.append("--tls-certificate and --tls-key must be given together")
    if settings.tls_client_ca and not settings.tls_certificate:
        problems.append("--tls-client-ca needs --tls-certificate and --tls-key")
    refused = settings.plaintext == "refuse" or (settings.plaintext == "auto" and settings.profile == "production")
    if refused and settings.reachable_unencrypted:
        problems.append(
            f"--host {settings.host} can be reached from other machines without encryption: give --tls-certificate "
            "and --tls-key, or --plaintext allow if a proxy in front encrypts"
        )
    return problems


def _calibration_cache(environment: Mapping[str, str]) -> str:
    """The default folder, in the user's cache (XDG Base Directory Specification 0.8); empty if the user has none."""
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
