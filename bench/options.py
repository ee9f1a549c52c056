"""The command lines of the serving benchmarks."""

import argparse
from pathlib import Path

from bench import cells
from bench.artifacts import MODELS, ModelName
from bench.cells import Cell

QUICK = {"models": MODELS[:1], "cells": cells.parse("sample-1-16"), "seconds": 0.4, "raw_seconds": 0.02, "rounds": 1}


def split(arguments: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """The benchmark's own arguments, and those after `--`, which go to the server."""
    if "--" not in arguments:
        return arguments, ()
    end = arguments.index("--")
    return arguments[:end], tuple(arguments[end + 1 :])


def serving(arguments: list[str], *, description: str | None) -> argparse.Namespace:
    """The options of `python -m bench.serve`."""
    parser = _parser("bench.serve", description, cells.ALL)
    parser.add_argument("--models", type=_models, default=MODELS, help=f"separated by commas (all: {','.join(MODELS)})")
    parser.add_argument("--raw-seconds", type=float, default=1.0, help="of each figure of plain onnxruntime (1)")
    parser.add_argument("--quick", action="store_true", help="a smoke run: one model, one cell, one short round")
    if "--quick" in arguments:
        parser.set_defaults(**QUICK)
    return parser.parse_args(arguments)


def comparison(arguments: list[str], *, description: str | None, default: tuple[Cell, ...]) -> argparse.Namespace:
    """The options of `python -m bench.peers.compare`."""
    parser = _parser("bench.peers.compare", description, default)
    parser.add_argument("--peer-threads", type=int, default=1, help="inside a run of a peer's onnxruntime (1)")
    parsed = parser.parse_args(arguments)
    if any(cell.operation == "Reconstruct" for cell in parsed.cells):
        parser.error("--cells: the peers do not reconstruct")
    return parsed


def _parser(module: str, description: str | None, default: tuple[Cell, ...]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description, allow_abbrev=False)
    parser.add_argument("--cells", type=_cells, default=default, help="e.g. sample-1-64,encode-16-8 (all)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each cell and round (3)")
    parser.add_argument("--rounds", type=int, default=3, help="whose median is reported (3)")
    parser.add_argument("--channels", type=int, default=1, help="connections that callers share (1)")
    parser.add_argument("--server-cores", default="", help="e.g. 0: pin servers there, by taskset (all)")
    parser.add_argument("--generator-cores", default="", help="e.g. 1: pin the generator there (all)")
    parser.add_argument("--json", type=Path, help="write everything measured to this file too")
    return parser


def _cells(text: str) -> tuple[Cell, ...]:
    """Cells; argparse shows the message of its own error type only."""
    try:
        return cells.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _models(text: str) -> tuple[ModelName, ...]:
    chosen = tuple(name for name in MODELS if name in text.split(","))
    if len(chosen) != len(text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} holds what is none of {', '.join(MODELS)}")
    return chosen
