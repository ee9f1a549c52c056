"""The options that make a command's noise replayable."""

from collections.abc import Callable

import click

_seed = click.option("--seed", type=int, metavar="N", help="The same seed gives the same rows; by default a new one.")
_first_row = click.option(
    "--first-row", type=int, default=0, metavar="N", help="The index in the seed's sequence to begin at."
)
draw = click.option("--draw", is_flag=True, help="Return a draw from p(x | z) instead of its mean.")


def seeding(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command --seed and --first-row, which reach it as `seed` and `first_row`."""
    return _seed(_first_row(command))
