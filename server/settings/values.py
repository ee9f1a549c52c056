"""Parses the text of one setting into its value; every parser raises a ValueError that says what is allowed."""

import re
from collections.abc import Callable


def number(kind: type[int] | type[float], least: float, most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise ValueError(f"must be a number {least:g}..{most:g}") from None
        if not least <= value <= most:
            raise ValueError(f"must be {least:g}..{most:g}")
        return value

    return parse


def choice(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text

    return parse


def port_or_off(text: str) -> float | str:
    if text == "off":
        return text
    try:
        return number(int, 0, 65535)(text)
    except ValueError as error:
        raise ValueError(f"{error}, or off") from None


def origins(text: str) -> str:
    for origin in filter(None, text.split(",")):
        if origin != "*" and not re.fullmatch(r"https?://[^/\s]+", origin):
            raise ValueError("must be * or origins like https://name:port, separated by commas")
    return text


def host_and_port(host: str, port: int) -> str:
    """HOST:PORT, with an IPv6 host in brackets (RFC 3986, section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
