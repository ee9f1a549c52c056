"""What can go wrong for the person at the command line: every message is one line that says what to do."""

import errno


class TrainingError(Exception):
    """The user can act on it. The command line shows the message and exits with 2."""


class Interrupted(Exception):
    """The user, or the machine, asked for an end; what was reached is saved."""

    def __init__(self, message: str, *, signal: int) -> None:
        super().__init__(message)
        self.signal = signal


def explain(error: OSError) -> str:
    """An operating system's error in one line that says what to do."""
    where = f" {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full: cannot write{where}; free some space or choose another folder, nothing was exported"
    return f"cannot use{where}: {error.strerror or error}"
