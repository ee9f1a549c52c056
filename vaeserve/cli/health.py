"""`vaeserve health`, and `vaeserve-health` for container health checks, whose commands must hold no blanks."""

import os
import sys

import click

from vaeserve.cli import report
from vaeserve.cli.connection import DEFAULT_TARGET, TARGET_VARIABLE, Access, Connection, probing
from vaeserve.client import Client
from vaeserve.errors import VaeServeError

PROBE_SECONDS = 3.0  # less than a container's health check may take, so that the probe can report its own error


@click.command(short_help="Whether the server takes traffic.")
@click.option("--service", default="", metavar="NAME", help="One gRPC service; by default the whole server.")
@report.json_option
@probing
def health(client: Client, service: str, *, as_json: bool) -> None:
    """Print SERVING and exit 0 if the server takes traffic; exit 1 if not."""
    status = client.health(service)
    if as_json:
        report.emit({"service": service, "status": status})
    else:
        click.echo(status)
    click.get_current_context().exit(0 if status == "SERVING" else 1)


def probe() -> None:
    """Print the health of the server at VAESERVE_TARGET; exit 0 if it takes traffic, 1 if not."""
    target = os.environ.get(TARGET_VARIABLE, DEFAULT_TARGET)
    connection = Connection(target, None, None, PROBE_SECONDS, Access.of_environment(os.environ))
    try:
        with connection.open(Client) as client:
            status = client.health()
    except VaeServeError as error:
        sys.exit(f"vaeserve-health: {error}")
    print(status)
    sys.exit(0 if status == "SERVING" else 1)
