"""Shell completion: the scripts, and the completions of real shells."""

import os
import subprocess
import sys
from pathlib import Path

import click.testing
import pytest
from support.programs import missing

from vaeserve import cli
from vaeserve.cli.completion import SHELLS

BIN = Path(sys.executable).parent

# Commands for each shell: load the script, then print the completions of `vaeserve sam` and `vaeserve bench --ra`.
ASK = {
    "bash": """
        source ./script
        for words in "vaeserve sam" "vaeserve bench --ra"; do
            COMP_WORDS=($words); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
            _vaeserve_completion vaeserve
            printf '%s\\n' "${COMPREPLY[@]}"
        done
    """,
    "zsh": """
        autoload -U compinit; compinit -u -d ./dump
        source ./script
        _describe() { print -rl -- "${(P@)argv[-2]}"; }
        compadd() { print -l -- "${argv[@]}"; }
        words=(vaeserve sam); CURRENT=2; _vaeserve_completion
        words=(vaeserve bench --ra); CURRENT=3; _vaeserve_completion
    """,
    "fish": """
        source ./script
        complete -C "vaeserve sam"
        complete -C "vaeserve bench --ra"
    """,
}


def script(shell: str) -> str:
    result = click.testing.CliRunner().invoke(cli.main, ["completion", shell])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_commands_and_options(shell: str, tmp_path: Path):
    if reason := missing(shell, package=shell):
        pytest.skip(reason)
    (tmp_path / "script").write_text(script(shell))
    quiet = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    asked = subprocess.run(
        [shell, *quiet, "-c", ASK[shell]], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert "sample" in asked.stdout, asked.stderr
    assert "--rate" in asked.stdout, asked.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_for_this_program(shell: str):
    text = script(shell)
    assert f"_VAESERVE_COMPLETE={shell}_complete" in text


def test_an_unknown_shell_is_exit_code_2():
    result = click.testing.CliRunner().invoke(cli.main, ["completion", "csh"])
    assert result.exit_code == 2
    assert "'csh' is not one of 'bash', 'zsh', 'fish'" in result.stderr
