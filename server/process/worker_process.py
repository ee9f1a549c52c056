"""One worker process from its supervisor's side: started, awaited, sent signals."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

from server.process import worker_channel
from server.process.handover import WORKER_HANDOVER, Worker
from server.process.worker_channel import SupervisorEndpoint


class WorkerProcess:
    """A worker process that was started, and the channel to it."""

    def __init__(self, process: asyncio.subprocess.Process, end: SupervisorEndpoint) -> None:
        self.channel = end
        self._process = process

    @staticmethod
    async def start(arguments: Sequence[str], *, number: int, port: int, cores: int) -> "WorkerProcess":
        """Start `python -m server` with these arguments as a worker."""
        ours, theirs = worker_channel.pair()
        with theirs:
            worker = Worker(number=number, port=port, cores=cores, channel=theirs.fileno(), supervisor=os.getpid())
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "server",
                *arguments,
                env={**os.environ, WORKER_HANDOVER: worker.to_json()},
                pass_fds=(theirs.fileno(),),
                # In a session of its own a worker does not get a terminal's Ctrl-C. The supervisor passes it on, and a
                # second one would mean "exit now".
                start_new_session=True,
            )
        return WorkerProcess(process, SupervisorEndpoint(ours))

    async def until_ready(self) -> bool:
        """Wait until it serves; return False if it ended before."""
        return await self.channel.ready()

    async def until_ended(self) -> int:
        """Wait for its end; return its exit code, or minus the number of the signal that ended it."""
        code = await self._process.wait()
        self.channel.close()
        return code

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self._process.returncode is None:
            self._process.send_signal(number)


def how_it_ended(code: int) -> str:
    """An exit code in words."""
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
