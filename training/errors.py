"""The exceptions that the command line shows to its user: each message is one line that says what to do."""

import errno


class TrainingError(Exception):
    """A mistake that the user can correct. The command line shows the message and exits with 2."""


class Interrupted(Exception):
    """The user or the system stopped the command by `signal`; the run is saved as far as it got."""

    def __init__(self, message: str, *, signal: int) -> None:
        super().__init__(message)
        self.signal = signal


def explain(error: OSError) -> str:
    """The message for an error of the operating system: one line that says what to do."""
    where = f" {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full: cannot write{where}; free some space or choose another folder, nothing was exported"
    return f"cannot use{where}: {error.strerror or error}"
