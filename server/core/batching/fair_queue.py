"""The jobs that wait, in two classes of many tenants: nobody's large job keeps another's small one waiting.

Classes share the rows of every batch by weight, as far as both have any waiting (stride scheduling); inside a class the
tenants take turns, a quantum of rows times their weight each (deficit round robin: what a full batch leaves of a turn
is had in the next one). Pure: no lock, no clock of its own.
"""

from collections import OrderedDict
from collections.abc import Iterator

from server.core.batching.job import Job
from server.core.call import Priority

WEIGHTS: dict[Priority, int] = {"interactive": 8, "bulk": 1}
QUANTUM_ROWS = 4  # of one tenant of weight 1 before the next one's turn


class FairQueue:
    """Jobs by class and tenant, first come first served inside a tenant."""

    def __init__(self) -> None:
        self._lanes: dict[Priority, _Lane] = {name: _Lane(weight) for name, weight in WEIGHTS.items()}

    def __iter__(self) -> Iterator[Job]:
        for lane in self._lanes.values():
            yield from lane

    def __contains__(self, job: Job) -> bool:
        return job in self._lanes[job.priority]

    def __bool__(self) -> bool:
        return any(self._lanes.values())

    def add(self, job: Job) -> None:
        lane = self._lanes[job.priority]
        if not lane:
            # Time spent without work earns nothing: a lane that returns starts where the others are.
            busy = [other.served for other in self._lanes.values() if other]
            lane.served = max(lane.served, min(busy, default=lane.served))
        lane.add(job)

    def remove(self, job: Job) -> None:
        self._lanes[job.priority].remove(job)

    def next(self) -> tuple[Job, int]:
        """The job whose rows go next, and how many of them at most before somebody else's turn.

        Tell `took` how many were taken. There must be a job waiting.
        """
        busy = [lane for lane in self._lanes.values() if lane]
        if len(busy) == 1:
            (lane,) = busy
            job = lane.next()
            return job, job.waiting if lane.tenants == 1 else lane.turn()
        lane = min(busy, key=lambda lane: lane.served)
        return lane.next(), lane.turn()

    def took(self, job: Job, rows: int) -> None:
        """`rows` of the job of `next` are on their way; the turn passes on."""
        self._lanes[job.priority].took(job, rows)


class _Lane:
    """One class: its tenants in the order of their turns."""

    def __init__(self, weight: int) -> None:
        self.served = 0.0  # rows, divided by the weight
        self._weight = weight
        self._tenants: OrderedDict[str, OrderedDict[Job, None]] = OrderedDict()
        self._active_tenant = ""  # the tenant that `_deficit` belongs to
        self._deficit = 0  # rows of a turn that has begun

    def __iter__(self) -> Iterator[Job]:
        for jobs in self._tenants.values():
            yield from jobs

    def __contains__(self, job: Job) -> bool:
        return job in self._tenants.get(job.call.tenant, ())

    def __bool__(self) -> bool:
        return bool(self._tenants)

    def add(self, job: Job) -> None:
        self._tenants.setdefault(job.call.tenant, OrderedDict())[job] = None

    def remove(self, job: Job) -> None:
        tenant = job.call.tenant
        jobs = self._tenants[tenant]
        del jobs[job]
        if not jobs:
            del self._tenants[tenant]
            if tenant == self._active_tenant:
                self._deficit = 0  # who returns waits for a turn like anybody

    @property
    def tenants(self) -> int:
        return len(self._tenants)

    def turn(self) -> int:
        """Rows that the job of `next` may have before somebody else's turn, which begins if it had none."""
        job = self.next()
        if self._deficit == 0 or job.call.tenant != self._active_tenant:
            self._active_tenant, self._deficit = job.call.tenant, QUANTUM_ROWS * job.call.weight
        return self._deficit

    def next(self) -> Job:
        return next(iter(next(iter(self._tenants.values()))))

    def took(self, job: Job, rows: int) -> None:
        self.served += rows / self._weight
        if job.call.tenant == self._active_tenant and rows < self._deficit:
            self._deficit -= rows
            return
        self._deficit = 0
        self._tenants.move_to_end(job.call.tenant)
