"""Programs that pip does not bring: a test that needs one is skipped without it, and says which package has it."""

import shutil

import pytest


def missing(program: str, *, package: str) -> str:
    """Why a test cannot run here: the program and its Debian package; empty if it is there."""
    return "" if shutil.which(program) else f"{program} is not installed (Debian: apt install {package})"


def needs(program: str, *, package: str = "") -> pytest.MarkDecorator:
    """A mark that skips a test where the program is missing; the package is named like it unless another is given."""
    return pytest.mark.needs(missing(program, package=package or program))
