"""Both clients against a real gRPC server in this process."""

import asyncio
import inspect
import socket
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from support.fake_service import SEED, Failure, FakeService

import vaeserve
from vaeserve import AsyncClient, Client, GraphExecution, GraphRate
from vaeserve.v1 import vaeserve_pb2 as pb

ITEMS = np.zeros((3, 1, 2, 3), np.float32)
METHODS = ("sample", "encode", "reconstruct", "decode", "score", "list_models", "get_model", "health")

Ask = Callable[..., Any]


def ask_blocking(target: str, method: str, *args: Any, client: dict[str, Any], **kwargs: Any) -> Any:
    with Client(target, **client) as connection:
        return getattr(connection, method)(*args, **kwargs)


def ask_asyncio(target: str, method: str, *args: Any, client: dict[str, Any], **kwargs: Any) -> Any:
    async def run() -> Any:
        async with AsyncClient(target, **client) as connection:
            return await getattr(connection, method)(*args, **kwargs)

    return asyncio.run(run())


@pytest.fixture(params=[ask_blocking, ask_asyncio])
def ask(request: pytest.FixtureRequest, target: str) -> Ask:
    """ask(method, ..., client={...}): the method of a client of either kind, on the service."""
    return lambda method, *args, client=None, **kwargs: request.param(
        target, method, *args, client=client or {}, **kwargs
    )


def busy(pushback: str, *, seconds: int = 2) -> Failure:
    return Failure(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "the queue is full",
        details=(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=seconds)),),
        trailers=(("grpc-retry-pushback-ms", pushback),),
    )


def test_samples_arrive_with_their_seed_model_and_timing(ask: Ask):
    result = ask("sample", 3, seed=5, first_row=2, want_latents=True)
    np.testing.assert_array_equal(result.items[:, 0, 0, 0], [7, 8, 9])
    np.testing.assert_array_equal(result.latents[:, 0], [20, 30, 40])
    assert (result.seed, str(result.model)) == (5, "toy/3")
    assert result.timing == vaeserve.Timing(queue_seconds=0.00025, run_seconds=0.0015, batch_rows=64)


def test_the_seed_the_server_picked_comes_back(ask: Ask):
    assert ask("sample", 1).seed == SEED


def test_posteriors_arrive(ask: Ask):
    result = ask("encode", ITEMS, draws=2, want_kl=True, first_row=10)
    np.testing.assert_array_equal(result.mean[:, 0], [10, 11, 12])
    assert result.draws.shape == (3, 2, 2)
    np.testing.assert_array_equal(result.kl, [5, 5.5, 6])


def test_reconstructions_arrive_with_their_scores(ask: Ask):
    result = ask("reconstruct", ITEMS)
    assert result.items.shape == ITEMS.shape
    np.testing.assert_array_equal(result.reconstruction_nll, [1, 2, 3])
    np.testing.assert_array_equal(result.elbo_percentile, [4, 5, 6])


def test_latents_are_decoded(ask: Ask):
    np.testing.assert_array_equal(ask("decode", [[5.0, 0.0], [6.0, 0.0]]).items[:, 0, 1, 2], [5, 6])


def test_scores_arrive(ask: Ask, service: FakeService):
    result = ask("score", ITEMS, importance_samples=5, seed=7, first_row=10)
    np.testing.assert_array_equal(result.log_evidence, [11, 12, 13])
    np.testing.assert_array_equal(result.effective_samples, [14, 15, 16])
    assert (result.seed, str(result.model)) == (7, "toy/3")
    assert service.requests[0].importance_samples == 5


def test_models_are_listed_with_the_reason_why_one_failed(ask: Ask):
    failed, ready = ask("list_models")
    assert (failed.state, failed.reason) == ("failed", "decoder.onnx: wrong digest")
    assert (ready.state, ready.is_default) == ("ready", True)


def test_a_model_is_described(ask: Ask):
    model = ask("get_model")
    assert (model.item_shape, model.latent_size, model.sigma, model.value_max) == ((1, 2, 3), 2, 0.5, 255.0)
    assert model.metrics == {"elbo": -90.5}
    rates = (GraphRate(rows=8, executors=2, threads=1, rows_per_second=5000.0),)
    assert model.graphs == {"decoder": GraphExecution("CPU", 8, 2, 1, 1, "cached", rates)}


def test_health_is_a_word(ask: Ask):
    assert ask("health") == "SERVING"


def test_every_request_names_the_clients_model(ask: Ask, service: FakeService):
    ask("encode", ITEMS, client={"model": "toy", "version": 3})
    assert service.requests[0].model == pb.ModelSelector(name="toy", version="3")


def test_one_connection_serves_several_models(target: str, service: FakeService):
    with Client(target, model="toy") as client:
        client.using("other", "7").sample(1)
        client.sample(1)
    assert [request.model.name for request in service.requests] == ["other", "toy"]


def test_another_embedding_space_than_the_one_pinned_is_an_error_of_its_own(ask: Ask):
    with pytest.raises(vaeserve.EmbeddingSpaceMismatch):
        ask("encode", ITEMS, expect_embedding_space="an old one")


def test_a_client_may_pin_the_space_of_all_it_encodes(ask: Ask, service: FakeService):
    with pytest.raises(vaeserve.EmbeddingSpaceMismatch):
        ask("encode", ITEMS, client={"embedding_space": "an old one"})
    ask("encode", ITEMS, client={"embedding_space": "an old one"}, expect_embedding_space="space")
    ask("reconstruct", ITEMS, client={"embedding_space": "an old one"})
    assert [request.expect_embedding_space for request in service.requests[:2]] == ["an old one", "space"]


def test_another_models_vectors_lie_in_another_space(target: str, service: FakeService):
    with Client(target, embedding_space="an old one") as client:
        client.using("toy").encode(ITEMS)
    assert service.requests[0].expect_embedding_space == ""


def test_the_servers_refusal_names_the_field(ask: Ask, service: FakeService):
    violation = error_details_pb2.BadRequest.FieldViolation(field="count", description="must be 1..9, got 10")
    bad_request = error_details_pb2.BadRequest(field_violations=[violation])
    service.failures.append(Failure(grpc.StatusCode.INVALID_ARGUMENT, "count must be 1..9, got 10", (bad_request,)))
    with pytest.raises(vaeserve.InvalidInput, match=r"count must be 1\.\.9, got 10") as caught:
        ask("sample", 10)
    assert caught.value.violations[0].field == "count"


def test_a_busy_server_is_asked_again_when_it_says_so(ask: Ask, service: FakeService):
    service.failures += [busy("1"), busy("1")]
    assert ask("sample", 1).seed == SEED
    assert len(service.requests) == 3


def test_a_server_that_is_away_for_a_moment_is_asked_again(ask: Ask, service: FakeService):
    service.failures.append(Failure(grpc.StatusCode.UNAVAILABLE, "loading"))
    ask("sample", 1)
    assert len(service.requests) == 2


def test_a_server_that_forbids_it_is_not_asked_again(ask: Ask, service: FakeService):
    service.failures.append(busy("-1"))
    with pytest.raises(vaeserve.QueueFull, match="the queue is full") as caught:
        ask("sample", 1)
    assert caught.value.retry_after == 2.0
    assert len(service.requests) == 1


def test_a_large_request_is_asked_again_too(ask: Ask, service: FakeService):
    service.failures.append(busy("1"))
    ask("encode", np.zeros((256, 1, 32, 32), np.float32))  # 1 MiB, past gRPC's own buffer for retries
    assert len(service.requests) == 2


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT])
def test_what_will_not_get_better_is_not_asked_again(ask: Ask, service: FakeService, code: grpc.StatusCode):
    service.failures.append(Failure(code, "no"))
    with pytest.raises(vaeserve.VaeServeError, match="no"):
        ask("sample", 1)
    assert len(service.requests) == 1


def test_health_is_what_it_is_now_and_never_asked_again(ask: Ask, service: FakeService):
    service.failures.append(Failure(grpc.StatusCode.UNAVAILABLE, "draining"))
    with pytest.raises(vaeserve.Unavailable, match="draining"):
        ask("health")
    assert len(service.requests) == 1


def test_a_server_that_never_answers_costs_no_more_than_the_timeout(ask: Ask, service: FakeService):
    service.holds_calls = True
    with pytest.raises(vaeserve.DeadlineExceeded):
        ask("sample", 1, client={"timeout": 0.05})


@pytest.mark.parametrize("run", [ask_blocking, ask_asyncio])
def test_no_server_there_is_unavailable(run: Ask):
    with socket.socket() as taken:  # bound, but not listening: no other server can have this port
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(vaeserve.Unavailable):
            run(f"127.0.0.1:{taken.getsockname()[1]}", "health", client={})


def test_responses_may_be_larger_than_grpcs_default_limit(ask: Ask, service: FakeService):
    service.item_shape = (1, 64, 64)
    assert ask("sample", 512).items.nbytes == 8 << 20


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan")])
def test_a_timeout_that_leaves_no_time_is_refused(timeout: float):
    with pytest.raises(vaeserve.InvalidInput, match="timeout must be above 0 seconds"):
        Client("127.0.0.1:1", timeout=timeout)


@pytest.mark.parametrize("channels", [1, 3])
def test_each_channel_is_a_connection_of_its_own_and_has_its_turn(target: str, service: FakeService, channels: int):
    def ask_twice_each() -> None:
        with Client(target, channels=channels) as client:
            for _ in range(2 * channels):
                client.sample(1)

    async def await_twice_each() -> None:
        async with AsyncClient(target, channels=channels) as client:
            for _ in range(2 * channels):
                await client.sample(1)

    ask_twice_each()
    asyncio.run(await_twice_each())
    first, again, awaited, awaited_again = (service.callers[i * channels : (i + 1) * channels] for i in range(4))
    assert (first, awaited) == (again, awaited_again)
    assert len({*first}) == len({*awaited}) == channels


def test_a_client_without_channels_is_refused():
    with pytest.raises(vaeserve.InvalidInput, match="channels must be at least 1, got 0"):
        Client("127.0.0.1:1", channels=0)


def test_a_cancelled_await_cancels_the_call_on_the_server(target: str, service: FakeService):
    service.holds_calls = True

    async def run() -> None:
        async with AsyncClient(target, timeout=None) as client:
            waiting = asyncio.create_task(client.sample(1))
            assert await asyncio.to_thread(service.entered.wait, 30)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert await asyncio.to_thread(service.gone.wait, 30)

    asyncio.run(run())


def test_many_awaits_share_a_client_and_each_gets_its_own_rows(target: str):
    async def run() -> list[vaeserve.Samples]:
        async with AsyncClient(target) as client:
            return await asyncio.gather(*(client.sample(1, seed=0, first_row=row) for row in range(64)))

    assert [result.items[0, 0, 0, 0] for result in asyncio.run(run())] == list(range(64))


def test_a_client_may_be_closed_twice(target: str):
    client = Client(target)
    client.close()
    client.close()


def test_an_async_client_is_made_inside_a_loop():
    with pytest.raises(RuntimeError, match="no running event loop"):
        AsyncClient("127.0.0.1:1")


@pytest.mark.parametrize("method", METHODS)
def test_both_clients_have_the_same_documented_methods(method: str):
    blocking, awaited = getattr(Client, method), getattr(AsyncClient, method)
    assert inspect.signature(blocking) == inspect.signature(awaited)
    assert blocking.__doc__ == awaited.__doc__
    assert blocking.__doc__
    assert inspect.iscoroutinefunction(awaited)


def test_a_methods_signature_is_that_of_its_call():
    signature = inspect.signature(Client("127.0.0.1:1").decode)
    assert list(signature.parameters) == ["latents", "output", "seed", "first_row", "encoding"]
    assert signature.return_annotation is vaeserve.Decoded
