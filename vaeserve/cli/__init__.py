"""The command line `vaeserve`.

Exit codes: 0 success; 1 the server is unreachable, refuses or fails; 2 wrong usage or input; 130 Ctrl-C
(docs/reference/command-line.md).
Results go to stdout (as JSON with --json), errors as one line to stderr, pictures and arrays to the file of --out.
"""

import click

from vaeserve.cli.bench import bench
from vaeserve.cli.completion import completion
from vaeserve.cli.decode import decode
from vaeserve.cli.encode import encode
from vaeserve.cli.health import health
from vaeserve.cli.models import models
from vaeserve.cli.reconstruct import reconstruct
from vaeserve.cli.sample import sample
from vaeserve.cli.score import score
from vaeserve.cli.top import top


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="vaeserve")
def main() -> None:
    """Sample from, encode with and reconstruct through the variational autoencoders of a vaeserve server."""


for command in (sample, encode, reconstruct, decode, score, models, health, bench, top, completion):
    main.add_command(command)
