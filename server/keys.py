"""`python -m server.keys TENANT`: makes an API key, shows it once, and prints the hash for the tenants file."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from server.edge.access.api_key import new_key
from server.edge.access.tenants_file import BadTenantsFile, parse


def main(arguments: Sequence[str] | None = None) -> int:
    """Make a key; return 0, or 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    key, kept = new_key()
    table = f'[tenants.{options.tenant}]\nkeys = ["{kept}"]\n'
    try:
        parse(table)
    except BadTenantsFile as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    if options.key_file is None:
        print(f"# The key, shown this once: {key}", file=sys.stderr)  # noqa: T201
    else:
        try:
            # O_EXCL never overwrites another key; mode 0600 from the start leaves no moment at which others can read.
            file = os.open(options.key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            print(f"--key-file: {options.key_file}: {error.strerror}", file=sys.stderr)  # noqa: T201
            return 2
        with os.fdopen(file, "w") as stream:
            stream.write(key + "\n")
    print(table, end="")  # noqa: T201
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m server.keys",
        description="Make an API key. Standard output gets the lines for the file of --api-keys, with the key's hash.",
    )
    parser.add_argument("tenant", help="name of the tenant that the key is for")
    parser.add_argument("--key-file", type=Path, help="new file for the key (mode 0600); default: standard error")
    return parser


if __name__ == "__main__":
    sys.exit(main())
