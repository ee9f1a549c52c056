"""SIGTERM, SIGINT and SIGHUP: how a running server hears of them, and how it ends by one."""

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
# From now on call back on the running loop for every signal of HEARD.
SubscribeToSignals: TypeAlias = Callable[[OnSignal], None]


def subscribe_by_loop(on_signal: OnSignal) -> None:
    """For a loop that runs on the main thread of a Python process."""
    loop = asyncio.get_running_loop()
    for number in HANDLED:
        loop.add_signal_handler(number, on_signal, number)


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent ends, however that ends. Kept over an exec. Linux only."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() != parent:  # it ended before it could be asked for
        os.kill(os.getpid(), signal.SIGKILL)


def die_of(number: signal.Signals) -> None:
    """End this process by the signal's default action, from any thread and whoever handles or blocks the signal."""
    # signal.signal is for the main thread of Python alone.
    ctypes.CDLL(None).signal(int(number), 0)  # 0: SIG_DFL
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    signal.raise_signal(number)  # to this thread: another may be waiting for it
    # As process 1 of a container there is no default action.
    os._exit(128 + number)
