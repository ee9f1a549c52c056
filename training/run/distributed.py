"""Training of one model by several processes that torchrun starts: how they share rows and add up sums.

Every process holds the whole state, draws the same minibatch, computes its part of the rows, and steps along the
gradient of all rows. So all states stay equal, and only the first process prints and writes files.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from training.errors import TrainingError

SILENCE = timedelta(minutes=10)  # a process that does not answer for so long counts as lost; an exit is noticed at once
LOST = (
    "another process of this run ended early, so this one ends too; the last checkpoint is complete: "
    "continue from it with --resume"
)


@dataclass(frozen=True, slots=True)
class Ranks:
    """The number of processes that train together, and which of them this one is."""

    rank: int  # 0 ... count - 1
    count: int
    local_rank: int  # 0 ... local_count - 1
    local_count: int  # processes on this machine

    @property
    def first(self) -> bool:
        """Whether this is the process that prints, writes files and exports."""
        return self.rank == 0

    def part(self, rows: int) -> slice:
        """This process's part of `rows` rows; the sizes of all parts differ by one row at most."""
        return slice(rows * self.rank // self.count, rows * (self.rank + 1) // self.count)

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor, in place, by its sum over all processes, which is bit-identical in all of them.

        All tensors have one dtype and device, and are sent as one message. Raises TrainingError if a process is lost.
        """
        if self.count == 1:
            return
        sums = torch.cat([tensor.flatten() for tensor in tensors])
        _reduce(sums, dist.ReduceOp.SUM)
        for tensor, part in zip(tensors, torch.split(sums, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def any(self, truth: bool) -> bool:
        """Whether `truth` is true in any process. Raises TrainingError if a process is lost."""
        if self.count == 1:
            return truth
        answer = torch.tensor(int(truth))  # on the CPU, so that nothing waits for a GPU
        _reduce(answer, dist.ReduceOp.MAX)
        return bool(answer)

    @contextmanager
    def connected(self, device: torch.device) -> Iterator[None]:
        """Connect the processes for the duration of the block. Raises TrainingError if that fails."""
        if self.count == 1:
            yield
            return
        try:
            dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=SILENCE)
        except (RuntimeError, ValueError) as error:
            raise TrainingError(f"the {self.count} processes of this run cannot connect: {error}") from None
        yield
        dist.destroy_process_group()  # not after an error: it might wait for a process that has ended


ALONE = Ranks(rank=0, count=1, local_rank=0, local_count=1)


def read_ranks(environment: Mapping[str, str]) -> Ranks:
    """The ranks in the variables that torchrun sets; ALONE if torchrun did not start this process."""
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
    except RuntimeError as error:  # each backend has another message for a lost process
        raise TrainingError(LOST) from error
