"""Health answers checks, and tells watchers of every change."""

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from server.core.batching.ticket import Ticket, drive
from server.core.call import Call, CallRecord
from server.edge.health import Health
from server.errors import NotFound

CALL, RECORD = Call(float("inf")), CallRecord()


def check(health: Health, service: str) -> HealthCheckResponse:
    method, _ = health.methods()
    return drive(method.handler(HealthCheckRequest(service=service), CALL, RECORD)).outcome()


def watch(health: Health, service: str):
    _, method = health.methods()
    return method.handler(HealthCheckRequest(service=service), CALL, RECORD)


def test_a_service_is_what_it_was_set_to():
    health = Health()
    health.set("a", serving=True)
    health.set("b", serving=False)
    assert check(health, "a").status == HealthCheckResponse.SERVING
    assert check(health, "b").status == HealthCheckResponse.NOT_SERVING


def test_an_unknown_service_is_not_found():
    with pytest.raises(NotFound):
        check(Health(), "nobody")


def test_a_watcher_is_told_at_once_and_then_at_every_change():
    health = Health()
    health.set("", serving=True)
    messages = watch(health, "")
    assert drive(messages.next()).outcome().status == HealthCheckResponse.SERVING
    change = drive(messages.next())
    health.set("", serving=True)
    assert not change.done, "nothing changed"
    health.stop_serving()
    assert change.outcome().status == HealthCheckResponse.NOT_SERVING


def test_watching_an_unknown_service_waits_for_it_to_appear():
    health = Health()
    messages = watch(health, "later")
    assert drive(messages.next()).outcome().status == HealthCheckResponse.SERVICE_UNKNOWN
    change = drive(messages.next())
    health.set("later", serving=True)
    assert change.outcome().status == HealthCheckResponse.SERVING


def test_a_watcher_that_left_is_forgotten():
    health = Health()
    health.set("", serving=True)
    messages = watch(health, "")
    drive(messages.next()).outcome()
    waiting = drive(messages.next())
    messages.close()
    assert waiting.done
    assert health._watchers == set()


def test_closing_ends_every_watch_after_its_last_message():
    health = Health()
    health.set("", serving=True)
    messages = watch(health, "")
    drive(messages.next()).outcome()
    health.stop_serving()
    health.close()
    assert drive(messages.next()).outcome().status == HealthCheckResponse.NOT_SERVING
    assert drive(messages.next()).outcome() is None


def probe(*answers: bool):
    """A probe that answers so, one check after the other."""
    left = list(answers)

    def ask() -> Ticket[bool]:
        ticket: Ticket[bool] = Ticket()
        ticket.succeed(left.pop(0))
        return ticket

    return ask


def test_a_check_tells_what_its_probe_found_and_watchers_are_notified():
    health = Health()
    health.set("a", serving=True, probe=probe(True, False, True))
    messages = watch(health, "a")
    assert drive(messages.next()).outcome().status == HealthCheckResponse.SERVING
    change = drive(messages.next())
    assert check(health, "a").status == HealthCheckResponse.SERVING
    assert not change.done
    assert check(health, "a").status == HealthCheckResponse.NOT_SERVING
    assert change.outcome().status == HealthCheckResponse.NOT_SERVING
    assert check(health, "a").status == HealthCheckResponse.SERVING


def test_a_service_that_should_not_serve_is_not_probed():
    health = Health()
    health.set("a", serving=False, probe=probe())
    assert check(health, "a").status == HealthCheckResponse.NOT_SERVING
    health.set("a", serving=True, probe=probe())
    health.stop_serving()
    assert check(health, "a").status == HealthCheckResponse.NOT_SERVING


def test_nothing_serves_again_once_the_server_shuts_down():
    health = Health()
    health.stop_serving()
    health.set("a", serving=True)
    assert check(health, "a").status == HealthCheckResponse.NOT_SERVING


def test_a_removed_service_is_unknown_to_checkers_and_watchers():
    health = Health()
    health.set("a", serving=True)
    messages = watch(health, "a")
    drive(messages.next()).outcome()
    change = drive(messages.next())
    health.remove("a")
    assert change.outcome().status == HealthCheckResponse.SERVICE_UNKNOWN
    with pytest.raises(NotFound):
        check(health, "a")


def test_a_server_that_shuts_down_or_does_not_answer_is_not_serving():
    health = Health()
    assert not health.serving
    health.set("", serving=True, probe=probe(False, True))
    assert health.serving
    check(health, "")
    assert not health.serving
    check(health, "")
    assert health.serving
    health.stop_serving()
    assert not health.serving
