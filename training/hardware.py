"""The machine a run trains on: device, precision and memory layout, chosen once and shown at the start."""

import sys
from dataclasses import dataclass
from typing import Literal

import torch

from training.config import Architecture, MlpArchitecture
from training.errors import TrainingError

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True, slots=True)
class Hardware:
    """Where and how tensors are computed."""

    device: torch.device
    precision: Literal["fp32", "bf16"]
    channels_last: bool
    threads: int

    def autocast(self) -> torch.autocast:
        """The context in which the networks run; likelihoods, KL and flows stay in fp32."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")

    def rows(self, rows: torch.Tensor) -> torch.Tensor:
        """Images in the memory layout that this machine convolves fastest."""
        return rows.contiguous(memory_format=torch.channels_last) if self.channels_last else rows

    def __str__(self) -> str:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else f"CPU, {self.threads} threads"
        return f"{name}, {self.precision}{', channels last' if self.channels_last else ''}"


def choose(device: Device, precision: Precision, architecture: Architecture, *, threads: int | None = None) -> Hardware:
    """`auto` takes CUDA where it works, and bf16 where the processor multiplies it natively and it pays.

    `threads` are those of torch on the CPU, for the whole process; None leaves torch's choice, the number of cores.
    Dense networks this small gain nothing from bf16 on a CPU: conversion costs what the product saves.
    Raises TrainingError if CUDA was asked for and there is none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("--device cuda: no usable NVIDIA GPU or CUDA build of torch here; use --device cpu or auto")
    chosen = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
    convolves = not isinstance(architecture, MlpArchitecture)
    if precision == "auto":
        native = torch.cuda.is_bf16_supported() if chosen.type == "cuda" else _cpu_has_bf16()
        precision = "bf16" if native and convolves else "fp32"
    if threads is not None:
        torch.set_num_threads(threads)
    return Hardware(chosen, precision, channels_last=convolves, threads=torch.get_num_threads())


def _cpu_has_bf16() -> bool:
    if sys.platform != "linux":
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
