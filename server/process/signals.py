"""SIGTERM, SIGINT and SIGHUP: how a server subscribes to them, and how it ends itself by one."""

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable
from typing import TypeAlias

RELOADING = signal.SIGHUP
HANDLED = (signal.SIGTERM, signal.SIGINT, RELOADING)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
OnSignal: TypeAlias = Callable[[signal.Signals], object]
# Makes the running loop call back for every signal of HANDLED.
SubscribeToSignals: TypeAlias = Callable[[OnSignal], None]


def subscribe_by_loop(on_signal: OnSignal) -> None:
    """Subscribe through the running loop, which must run on the main thread of a Python process."""
    loop = asyncio.get_running_loop()
    for number in HANDLED:
        loop.add_signal_handler(number, on_signal, number)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends for any reason. Survives an exec. Linux only."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() != parent:  # the parent ended before prctl
        os.kill(os.getpid(), signal.SIGKILL)


def die_of(number: signal.Signals) -> None:
    """End this process by the signal's default action: on any thread, even if the signal is handled or blocked."""
    # libc's signal, as Python's works on the main thread only.
    ctypes.CDLL(None).signal(int(number), 0)  # 0: SIG_DFL
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    signal.raise_signal(number)  # to this thread, as another may wait for the signal with sigwait
    # Reached only by process 1 of a container, for which the kernel has no default action.
    os._exit(128 + number)
