"""A container engine for a test: podman behind Docker's API, with all its data in one folder."""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
static_dir = "{folder}/static"
tmp_dir = "{folder}/tmp"
volume_path = "{folder}/volumes"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""
STORAGE_CONF = """\
[storage]
driver = "overlay"
runroot = "{folder}/run"
graphroot = "{folder}/storage"
"""
SERVICE_SECONDS = 30.0
# What buildah and runc say when they seal their own copy in memory while the kernel still holds a page of it.
PASSING, TRIES = "sealing memfd copy: Device or resource busy", 5


class Engine:
    """Commands of podman, buildah and docker-compose against one folder of images and containers."""

    def __init__(self, folder: Path, *, project: str) -> None:
        self._project = project
        self._socket = folder / "engine.sock"
        for name, text in (("containers.conf", CONTAINERS_CONF), ("storage.conf", STORAGE_CONF)):
            (folder / name).write_text(text.format(folder=folder))
        self._environment = {
            **os.environ,
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "BUILDAH_ISOLATION": "chroot",
            "DOCKER_HOST": f"unix://{self._socket}",
            "COMPOSE_PROJECT_NAME": project,
        }

    def podman(self, *arguments: str | Path) -> str:
        """The output of a podman command. Raises AssertionError with that output if it fails."""
        return self._run(["podman", *arguments])

    def build(self, context: Path, *, tag: str) -> None:
        self._run(["buildah", "bud", "--format", "docker", "--pull=never", "--tag", tag, context])

    def compose(self, *arguments: str | Path, variables: Mapping[str, str]) -> str:
        """The output of docker-compose, run in the folder of the compose file."""
        return self._run(["docker-compose", "--no-ansi", *arguments], variables=variables)

    def containers(self, service: str) -> list[str]:
        """The running containers of a service of the compose file, by id."""
        labels = [f"com.docker.compose.project={self._project}", f"com.docker.compose.service={service}"]
        filters = [argument for label in labels for argument in ("--filter", f"label={label}")]
        return self.podman("ps", "--quiet", *filters).split()

    @contextmanager
    def serving(self) -> Iterator["Engine"]:
        """Serve Docker's API; afterwards stop everything and keep nothing."""
        service = subprocess.Popen(
            ["podman", "system", "service", "--time", "0", f"unix://{self._socket}"], env=self._environment
        )
        try:
            end = time.monotonic() + SERVICE_SECONDS
            while not self._socket.exists():
                assert service.poll() is None, "podman system service ended"
                assert time.monotonic() < end, f"podman system service is not there after {SERVICE_SECONDS} s"
                time.sleep(0.05)
            yield self
        finally:
            service.terminate()
            service.wait()
            self.podman("rm", "--all", "--force", "--time", "0")
            self.podman("network", "prune", "--force")
            self.podman("rmi", "--all", "--force")

    def _run(self, command: Sequence[str | Path], *, variables: Mapping[str, str] | None = None) -> str:
        environment = {**self._environment, **(variables or {})}
        for _ in range(TRIES):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if PASSING not in done.stdout + done.stderr:
                break
        assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout
