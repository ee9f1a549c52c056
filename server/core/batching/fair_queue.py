"""The queue of waiting jobs, fair between classes and tenants: a large job never keeps a small one waiting.

The two classes share the rows of every batch by weight while both have jobs (stride scheduling). Inside a class the
tenants take turns of a quantum of rows times their weight (deficit round robin). A turn that a full batch cuts short
goes on in the next batch. Pure: no lock, no clock.
"""

from collections import OrderedDict
from collections.abc import Iterator

from server.core.batching.job import Job
from server.core.call import Priority

WEIGHTS: dict[Priority, int] = {"interactive": 8, "bulk": 1}
QUANTUM_ROWS = 4  # rows in one turn of a tenant of weight 1


class FairQueue:
    """Waiting jobs by class and tenant; the jobs of one tenant are served in order of arrival."""

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
            # An idle class saves up no credit: when it returns, it starts level with the busy one.
            busy = [other.served for other in self._lanes.values() if other]
            lane.served = max(lane.served, min(busy, default=lane.served))
        lane.add(job)

    def remove(self, job: Job) -> None:
        self._lanes[job.priority].remove(job)

    def next(self) -> tuple[Job, int]:
        """The job whose rows run next, and how many of its rows may run before the turn ends.

        Call `took` with the number of rows taken. The queue must not be empty.
        """
        busy = [lane for lane in self._lanes.values() if lane]
        if len(busy) == 1:
            (lane,) = busy
            job = lane.next()
            return job, job.waiting if lane.tenants == 1 else lane.turn()
        lane = min(busy, key=lambda lane: lane.served)
        return lane.next(), lane.turn()

    def took(self, job: Job, rows: int) -> None:
        """Note that `rows` of the job of `next` were taken; a used-up turn passes to the next tenant."""
        self._lanes[job.priority].took(job, rows)


class _Lane:
    """One class: its tenants in order of turns."""

    def __init__(self, weight: int) -> None:
        self.served = 0.0  # rows taken, divided by the weight
        self._weight = weight
        self._tenants: OrderedDict[str, OrderedDict[Job, None]] = OrderedDict()
        self._active_tenant = ""  # the tenant that `_deficit` belongs to
        self._deficit = 0  # rows left of the active tenant's turn

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
                self._deficit = 0  # a tenant that returns waits for a new turn

    @property
    def tenants(self) -> int:
        return len(self._tenants)

    def turn(self) -> int:
        """The rows left in the turn of the tenant of `next`; begins the turn if needed."""
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
