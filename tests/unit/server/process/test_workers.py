"""The parts of a supervisor: the port that workers share, the channel to each, the wait before a restart."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from server.errors import StartFailed
from server.process import worker_channel
from server.process.port_reservation import PortReservation
from server.process.supervisor import LEAST_SECONDS, MOST_SECONDS, STEADY_SECONDS, Backoff
from server.process.worker_channel import SupervisorEndpoint, WorkerEndpoint, ask_all
from server.process.worker_process import how_it_ended


@contextmanager
def connected() -> Iterator[tuple[SupervisorEndpoint, WorkerEndpoint]]:
    ours, theirs = worker_channel.pair()
    supervisor, worker = SupervisorEndpoint(ours), WorkerEndpoint(theirs.detach())
    try:
        yield supervisor, worker
    finally:
        supervisor.close()
        worker.join(seconds=10)  # else it might find a closed descriptor, or another's
        worker._end.close()


def test_a_worker_that_keeps_dying_waits_ever_longer_up_to_a_bound():
    backoff = Backoff()
    waits = [backoff.seconds(started=100.0, died=100.0 + 0.9 * STEADY_SECONDS) for _ in range(8)]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, MOST_SECONDS, MOST_SECONDS]


def test_a_worker_that_served_for_long_is_back_at_once():
    backoff = Backoff()
    for _ in range(8):
        backoff.seconds(started=0.0, died=0.0)
    assert backoff.seconds(started=100.0, died=100.0 + STEADY_SECONDS) == LEAST_SECONDS


def test_a_reserved_port_is_open_only_to_sockets_that_share():
    with PortReservation("127.0.0.1", 0) as reservation:
        address = ("127.0.0.1", reservation.port)
        for _ in range(2):
            worker = socket.socket()
            worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            worker.bind(address)
            worker.listen()
            with worker, socket.create_connection(address):  # the reservation takes no connection
                worker.accept()[0].close()
        with socket.socket() as foreign, pytest.raises(OSError, match="Address already in use"):
            foreign.bind(address)


def test_a_port_with_a_listener_is_refused_even_if_the_listener_shares():
    with socket.socket() as foreign:
        foreign.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        foreign.bind(("127.0.0.1", 0))
        foreign.listen()
        port = foreign.getsockname()[1]
        with pytest.raises(StartFailed, match=f"--port: cannot listen on 127.0.0.1:{port}: Address already in use"):
            PortReservation("127.0.0.1", port)


def test_a_host_that_does_not_exist_is_reported():
    with pytest.raises(StartFailed, match="--host: cannot find the address of 'no such host'"):
        PortReservation("no such host", 0)


def test_a_worker_reports_that_it_serves():
    with connected() as (ours, theirs):
        theirs.tell_ready()
        assert asyncio.run(ours.ready()) is True


def test_a_worker_that_ended_will_never_serve():
    with connected() as (ours, theirs):
        theirs._end.close()
        assert asyncio.run(ours.ready()) is False


def test_all_workers_are_asked_and_a_silent_or_dead_one_is_left_out():
    large = b"x" * (1 << 20)  # more than a socket holds
    with connected() as (ours, theirs), connected() as (silent, _), connected() as (gone, ended):
        theirs.answer(lambda: large)
        ended._end.close()
        assert ask_all({5: ours, 6: silent, 7: gone}, seconds=0.5) == {5: large}


def test_an_answer_whose_writer_died_while_writing_is_left_out():
    with connected() as (ours, theirs):
        answers = ThreadPoolExecutor(1)
        asked = answers.submit(ask_all, {0: ours}, seconds=10)
        _, (descriptor,), *_ = socket.recv_fds(theirs._end, 1, 1)
        with socket.socket(fileno=descriptor) as asker:
            asker.sendall(b"a_total 1\n")
        assert asked.result() == {}
        answers.shutdown()


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_one():
    answers = iter([b"old", b"new"])
    asked, may_answer = threading.Event(), threading.Event()

    def exposition() -> bytes:
        asked.set()
        assert may_answer.wait(10)
        return next(answers)

    with connected() as (ours, theirs):
        theirs.answer(exposition)
        assert ask_all({0: ours}, seconds=0.01) == {}
        assert asked.wait(10)
        may_answer.set()
        assert ask_all({0: ours}, seconds=10) == {0: b"new"}


@pytest.mark.parametrize(("code", "words"), [(2, "exit code 2"), (-9, "killed by SIGKILL")])
def test_the_end_of_a_worker_is_described_in_words(code, words):
    assert how_it_ended(code) == words
