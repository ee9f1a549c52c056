"""The processes that train one model together, as torchrun starts them: who takes which rows, and how sums meet.

Every process holds the whole state, sees the same minibatch, takes its part of the rows, and moves by the gradient of
all of them. So their states stay equal, and the first process alone speaks and writes.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from training.errors import TrainingError

SILENCE = timedelta(minutes=10)  # after which a process is taken for dead; one that ended is noticed at once
LOST = (
    "another process of this run has ended early, and so must this one; what was saved last is whole: "
    "go on from there with --resume"
)


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among its fellows."""

    rank: int  # 0 ... count - 1
    count: int
    local_rank: int  # likewise, on this machine
    local_count: int

    @property
    def first(self) -> bool:
        """Whether this is the process that shows, writes and exports."""
        return self.rank == 0

    def part(self, rows: int) -> slice:
        """This process's part of that many rows; the parts of all differ by one row at most."""
        return slice(rows * self.rank // self.count, rows * (self.rank + 1) // self.count)

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor, in place, by its sum over all processes; equal bit for bit in all of them.

        The tensors, of one dtype and device, travel as one. Raises TrainingError if a process is lost.
        """
        if self.count == 1:
            return
        sums = torch.cat([tensor.flatten() for tensor in tensors])
        _reduce(sums, dist.ReduceOp.SUM)
        for tensor, part in zip(tensors, torch.split(sums, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def any(self, truth: bool) -> bool:
        """Whether it is true in any process: all get the same answer. Raises TrainingError if a process is lost."""
        if self.count == 1:
            return truth
        answer = torch.tensor(int(truth))  # in the machine's memory, so that a GPU need not be waited for
        _reduce(answer, dist.ReduceOp.MAX)
        return bool(answer)

    @contextmanager
    def connected(self, device: torch.device) -> Iterator[None]:
        """While the processes can reach each other. Raises TrainingError if they cannot."""
        if self.count == 1:
            yield
            return
        try:
            dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=SILENCE)
        except (RuntimeError, ValueError) as error:
            raise TrainingError(f"the {self.count} processes of this run do not find each other: {error}") from None
        yield
        dist.destroy_process_group()  # not after an error: it might wait for a process that is gone


ALONE = Ranks(rank=0, count=1, local_rank=0, local_count=1)


def among(environment: Mapping[str, str]) -> Ranks:
    """What torchrun says of this process; ALONE where it was not started by torchrun."""
    if "TORCHELASTIC_RUN_ID" not in environment:
        return ALONE
    return Ranks(
        rank=int(environment["RANK"]),
        count=int(environment["WORLD_SIZE"]),
        local_rank=int(environment["LOCAL_RANK"]),
        local_count=int(environment["LOCAL_WORLD_SIZE"]),
    )


def _reduce(tensor: Tensor, operation: dist.ReduceOp.RedOpType) -> None:
    try:
        dist.all_reduce(tensor, operation)
    except RuntimeError as error:  # every backend has its own words for it
        raise TrainingError(LOST) from error
