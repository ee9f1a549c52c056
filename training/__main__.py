"""The command line: `python -m training VERB`. A user's mistake ends in one line on stderr and exit code 2."""

import os
import signal
import sys
from types import FrameType

import click
import torch

from server.engine.engine import DeviceUnavailable
from server.errors import ArtifactError
from training.commands import cli
from training.errors import Interrupted, TrainingError, explain
from training.run.distributed import read_ranks

MISTAKE, SIGNALLED = 2, 128
MEMORY_FULL = "this machine's memory is full; try a smaller --batch-size or fewer rows"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    try:
        cli.main(arguments, prog_name="python -m training", standalone_mode=False)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _say("interrupted", SIGNALLED + signal.SIGINT)
    except Interrupted as interrupted:
        return _say(str(interrupted), SIGNALLED + interrupted.signal)
    except Exception as error:
        message = _explain(error)
        if message is None:  # a bug of ours: show the traceback
            raise
        return _say(f"error: {' '.join(message.split())}", MISTAKE)
    return 0


def _explain(error: Exception) -> str | None:
    """One line that tells the user what to do; None for an error that only a programmer can fix."""
    message = None
    match error:
        case click.ClickException():
            message = error.format_message()
        case TrainingError() | ArtifactError() | DeviceUnavailable():
            message = str(error)
        case OSError():
            message = explain(error)
        case torch.OutOfMemoryError():
            message = "the GPU's memory is full; try a smaller --batch-size"
        case MemoryError():
            message = MEMORY_FULL
        case RuntimeError() if "DefaultCPUAllocator" in str(error):  # torch has no exception type for a full memory
            message = MEMORY_FULL
    return message


def _say(message: str, code: int) -> int:
    """Print `message` on stderr and return `code`."""
    ranks = read_ranks(os.environ)
    print(message if ranks.first else f"rank {ranks.rank}: {message}", file=sys.stderr)
    return code


def _terminate(number: int, _frame: FrameType | None) -> None:
    raise Interrupted("terminated", signal=number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminate)  # an exception unwinds the stack, which removes half-written files
    sys.exit(main())
