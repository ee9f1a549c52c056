"""What the command lines say of themselves, as Markdown: `PROGRAM --help`, and that of every verb."""

import contextlib
import io
import re
import runpy
import sys
from unittest import mock

_VERB = re.compile(r"^  ([a-z]+)  ", re.MULTILINE)


def markdown(program: str) -> str:
    """The help of `vaeserve` or `python -m MODULE`, and of its verbs, each under a heading of its own."""
    helped = _help(program)
    verbs = _VERB.findall(helped.partition("\nCommands:\n")[2])
    pieces = [_piece("##", program, helped)]
    pieces += [_piece("###", f"{program} {verb}", _help(program, verb)) for verb in verbs]
    return "\n\n".join(pieces)


def _help(program: str, *verb: str) -> str:
    """Run here rather than in processes of their own: training's imports take seconds, once."""
    printed = io.StringIO()
    with (
        mock.patch.object(sys, "argv", [program, *verb, "--help"]),
        mock.patch.dict("os.environ", COLUMNS="100"),  # help is as wide as its terminal
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),
    ):
        _run(program)
    if not printed.getvalue():
        raise ValueError(f"{program} {' '.join(verb)} has no help")
    return printed.getvalue()


def _run(program: str) -> None:
    if program.startswith("python -m "):
        runpy.run_module(program.removeprefix("python -m "), run_name="__main__", alter_sys=True)
    else:
        from vaeserve.cli import main

        main(prog_name=program)


def _piece(level: str, title: str, text: str) -> str:
    return f"{level} {title}\n\n```text\n{text.strip()}\n```"
