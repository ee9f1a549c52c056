"""Hardware: the device, precision and memory layout that a run computes with, and how they are chosen."""

import os
import sys
from dataclasses import dataclass
from typing import Literal

import torch

from training import memory
from training.config.config import Architecture, MlpArchitecture
from training.errors import TrainingError
from training.run.distributed import ALONE, Ranks

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True, slots=True)
class Hardware:
    """Where and how tensors are computed."""

    device: torch.device
    precision: Literal["fp32", "bf16"]
    channels_last: bool  # the memory layout of images
    threads: int  # of torch, on the CPU
    ranks: Ranks = ALONE

    def autocast(self) -> torch.autocast:
        """A context in which networks run in this precision; likelihoods, KL and flows stay in fp32 outside of it."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")

    def to_device_if_small(self, rows: torch.Tensor) -> torch.Tensor:
        """A data set in the GPU's memory if it takes at most a quarter of the free part, so that batches are gathered
        there.
        """
        if self.device.type != "cuda" or rows.nbytes > torch.cuda.mem_get_info(self.device)[0] / 4:
            return rows
        return rows.to(self.device)

    def to_layout(self, rows: torch.Tensor) -> torch.Tensor:
        """Images in the memory layout in which this machine's convolutions are fastest."""
        return rows.contiguous(memory_format=torch.channels_last) if self.channels_last else rows

    def __str__(self) -> str:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else f"CPU, {self.threads} threads"
        times = f"{self.ranks.count} processes, each on " if self.ranks.count > 1 else ""
        return f"{times}{name}, {self.precision}{', channels last' if self.channels_last else ''}"


def choose(
    device: Device,
    precision: Precision,
    architecture: Architecture,
    *,
    threads: int | None = None,
    ranks: Ranks = ALONE,
) -> Hardware:
    """Choose what a run computes with, and set torch's number of threads for the whole process.

    Device `auto` is CUDA if it works, else the CPU. Precision `auto` is bf16 for convolutions on a processor that
    multiplies it natively, else fp32: in small dense networks the conversion costs as much as the product saves.
    `threads` None is one per core or, if several processes train together, an equal share of the cores. Such processes
    take one GPU each. Raises TrainingError if CUDA was asked for but does not work, or if there are too few GPUs.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("--device cuda: no usable NVIDIA GPU or CUDA build of torch here; use --device cpu or auto")
    chosen = _gpu(ranks) if device != "cpu" and torch.cuda.is_available() else torch.device("cpu")
    convolves = not isinstance(architecture, MlpArchitecture)
    if precision == "auto":
        native = torch.cuda.is_bf16_supported() if chosen.type == "cuda" else _cpu_has_bf16()
        precision = "bf16" if native and convolves else "fp32"
    if chosen.type == "cpu":
        memory.keep_freed_blocks()
    if threads is None and ranks.local_count > 1:
        threads = max(1, (os.cpu_count() or 1) // ranks.local_count)
    if threads is not None:
        torch.set_num_threads(threads)
    return Hardware(chosen, precision, channels_last=convolves, threads=torch.get_num_threads(), ranks=ranks)


def _gpu(ranks: Ranks) -> torch.device:
    if ranks.count == 1:
        return torch.device("cuda")
    if ranks.local_count > torch.cuda.device_count():
        raise TrainingError(
            f"{ranks.local_count} processes here share {torch.cuda.device_count()} GPUs and need one each; start fewer "
            "(torchrun --nproc-per-node), or use --device cpu"
        )
    chosen = torch.device("cuda", ranks.local_rank)
    torch.cuda.set_device(chosen)
    return chosen


def _cpu_has_bf16() -> bool:
    if sys.platform != "linux":
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
