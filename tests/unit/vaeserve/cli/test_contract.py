"""What docs/reference/command-line.md promises of every command.

Each exit code is produced: 0, 1, 2 and 130 in test_cli.py and test_bench.py, 143 in test_top.py.
"""

import re
from pathlib import Path

import click

from vaeserve import cli

PAGE = (Path(__file__).parents[4] / "docs" / "reference" / "command-line.md").read_text()
TESTS = "".join(
    path.read_text() for path in Path(__file__).parent.glob("test_*.py") if path.name != Path(__file__).name
)


def test_every_command_reports_json_but_completion_which_prints_a_script():
    silent = {
        name
        for name, command in cli.main.commands.items()
        if not any("--json" in option.opts for option in command.params if isinstance(option, click.Option))
    }
    assert silent == {"completion"}


def test_every_command_is_documented():
    assert {name for name in cli.main.commands if f"vaeserve {name}" not in PAGE} == set()


def test_every_documented_exit_code_is_produced_by_a_test():
    documented = set(re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE))
    assert documented == {"0", "1", "2", "130", "143"}
    named_in_tests = set(re.findall(r"(?:exit_code == |exit_code, .*== \(|SIGTERM, )(\d+)", TESTS))
    assert named_in_tests >= documented
