"""Clients of a server with everything on: TLS, client certificates, keys, signed models, the production profile."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.artifacts import write_artifact
from support.authority import Authority
from support.server import ServerProcess, server
from support.signer import Signer
from support.transports import but_the_choice

import vaeserve
from vaeserve import AsyncClient, Client, Tls


class Place:
    """The server and what its clients need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key_file = folder / "alice.key"
        self.process: ServerProcess
        self.tls: Tls


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("access"))
    models, signer = place.folder / "models", Signer(place.folder, "ours")
    signer.sign(write_artifact(models / "tiny" / "1"))
    write_artifact(models / "tiny" / "2")
    shutil.copytree(models / "tiny" / "1", models / "tiny" / "3")
    (models / "tiny" / "3" / "MODEL_CARD.md").write_text("written after signing")
    authority = Authority(place.folder)
    certificate, key = authority.issue("vaeserve.example")
    place.tls = authority.client("alice.example")
    command = [sys.executable, "-m", "server.keys", "alice", "--key-file", str(place.key_file)]
    tenants = place.folder / "tenants.toml"
    tenants.write_text(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    with server(
        models,
        *("--profile", "production", "--api-keys", str(tenants), "--model-signature-key", str(signer.public)),
        *("--tls-certificate", str(certificate), "--tls-key", str(key), "--tls-client-ca", str(authority.file)),
    ) as place.process:
        place.tls = Tls(place.tls.ca, place.tls.certificate, place.tls.key, "vaeserve.example")
        yield place


def test_both_clients_are_answered(place):
    with Client(place.process.target, tls=place.tls, api_key_file=place.key_file) as client:
        expected = client.sample(2, seed=1).items

    async def ask():
        key = place.key_file.read_text()
        async with AsyncClient(place.process.target, tls=place.tls, api_key=key) as client:
            assert await client.health() == "SERVING"
            return (await client.sample(2, seed=1)).items

    assert (asyncio.run(ask()) == expected).all()


def test_a_key_is_needed_beside_the_certificate_if_that_is_on_no_list(place):
    with Client(place.process.target, tls=place.tls) as client, pytest.raises(vaeserve.PermissionDenied):
        client.sample(1)


def test_versions_that_are_not_signed_as_they_are_take_no_traffic_and_say_why(place):
    with Client(place.process.target, tls=place.tls, api_key_file=place.key_file) as client:
        assert client.sample(1).model.version == "1"
        models = {summary.model.version: summary for summary in client.list_models()}
    assert models["1"].state == "ready"
    assert models["2"].reason == "model.sig: is missing; --model-signature-key requires it"
    assert "MODEL_CARD.md" in models["3"].reason


def test_the_command_line_takes_it_all_from_options(place):
    options = ["--target", place.process.target, "--tls-ca", place.tls.ca, "--tls-certificate", place.tls.certificate]
    options += ["--tls-key", place.tls.key, "--tls-server-name", "vaeserve.example"]
    assert vaeserve_command("health", *options).stdout == "SERVING\n"
    listed = vaeserve_command("models", *options, "--api-key-file", place.key_file)
    assert "tiny" in listed.stdout
    refused = vaeserve_command("models", *options)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "belongs to no tenant" in refused.stderr
    missing = vaeserve_command("models", *options, "--api-key-file", "/no/such/file")
    assert missing.returncode == 2
    assert "/no/such/file: No such file" in missing.stderr


def test_the_health_check_of_a_container_takes_it_all_from_variables(place):
    variables = {
        "VAESERVE_TARGET": place.process.target,
        "VAESERVE_TLS_CA": str(place.tls.ca),
        "VAESERVE_CLIENT_CERTIFICATE": str(place.tls.certificate),
        "VAESERVE_CLIENT_KEY": str(place.tls.key),
        "VAESERVE_TLS_SERVER_NAME": "vaeserve.example",
    }
    probe = [sys.executable, "-c", "from vaeserve.cli.health import probe; probe()"]
    done = subprocess.run(probe, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "SERVING\n")


def vaeserve_command(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from vaeserve.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--tls-certificate", "/no/c", "--tls-key", "/no/k"], "TLS: /no/c: cannot be read: No such file"),
        (["--api-keys", "/no/keys"], "--api-keys: /no/keys: cannot be read: No such file"),
        (["--model-signature-key", "/no/key"], "--model-signature-key: /no/key: is not a readable public key"),
        (["--profile", "production", "--host", "0.0.0.0"], "--host 0.0.0.0 can be reached"),  # noqa: S104
    ],
)
def test_settings_that_cannot_protect_end_the_start_with_one_line(models, arguments, told):
    command = [sys.executable, "-m", "server", "--models", models, "--port", "0", "--metrics-port", "0", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = but_the_choice(done.stderr.splitlines())
    assert told in line


def test_an_open_port_without_encryption_is_warned_of(models):
    with server(models, "--host", "0.0.0.0", "--default-model", "tiny") as process:  # noqa: S104
        assert any('"unencrypted"' in line and '"warning"' in line for line in process.lines)
