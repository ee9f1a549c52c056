"""`python -m server.keys TENANT`: make an API key, to be shown once and kept as a hash."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from server.edge.access.api_key import new_key
from server.edge.access.tenants_file import BadTenantsFile, parse


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 made, 2 wrong usage."""
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
            # Never over another key, and never readable for others, not even for a moment.
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
        description="Make an API key. Standard output gets the lines for the file of --api-keys, which hold its hash.",
    )
    parser.add_argument("tenant", help="whose key it shall be")
    parser.add_argument("--key-file", type=Path, help="write the key there (mode 0600) instead of to standard error")
    return parser


if __name__ == "__main__":
    sys.exit(main())
