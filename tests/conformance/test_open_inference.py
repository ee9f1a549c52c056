"""The Open Inference Protocol beside the native API on one port: the same numbers, limits and errors."""

import queue

import grpc
import numpy as np
import pytest
from support.inference import INFER, arrays, infer_request
from support.messages import WIDE, items

from server.edge.inference_v2 import open_inference_pb2 as oip
from vaeserve.v1 import vaeserve_pb2 as pb

SERVICE = "/inference.GRPCInferenceService"
ITEMS = items(7)
X = np.frombuffer(ITEMS.data, "<f4").reshape(tuple(ITEMS.shape))


@pytest.fixture
def call(channel):
    """call(rpc, request) -> the response in its class, and the call."""

    def unary(rpc: str, request, *, timeout: float = 60):
        answer = getattr(oip, f"{rpc}Response").FromString
        method = channel.unary_unary(f"{SERVICE}/{rpc}", type(request).SerializeToString, answer)
        return method.with_call(request, timeout=timeout)

    return unary


def array(tensor: pb.Tensor) -> np.ndarray:
    return np.frombuffer(tensor.data, "<f4").reshape(tuple(tensor.shape))


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
def test_every_number_is_that_of_the_native_api_bit_for_bit(call, stub, raw):
    def infer(model: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        response, _ = call("ModelInfer", infer_request(model, inputs, raw=raw))
        return arrays(response)

    encoded, reconstructed = (
        stub.Encode(pb.EncodeRequest(items=ITEMS)),
        stub.Reconstruct(pb.ReconstructRequest(items=ITEMS)),
    )
    decoded = stub.Decode(pb.DecodeRequest(latents=encoded.mean))
    sampled = stub.Sample(pb.SampleRequest(count=9, seed=3, first_row=4, temperature=0.7, want_latents=True))
    numbers = {"count": [9], "seed": [3], "first_row": [4]}
    for model, inputs, expected in (
        ("tiny-encoder", {"x": X}, {"mean": encoded.mean, "logvar": encoded.log_var}),
        ("tiny-decoder", {"z": array(encoded.mean)}, {"mean": decoded.items}),
        (
            "tiny",
            {"x": X},
            {
                "items": reconstructed.items,
                "reconstruction_nll": reconstructed.reconstruction_nll,
                "kl": reconstructed.kl,
                "elbo": reconstructed.elbo,
                "percentile": reconstructed.elbo_percentile,
            },
        ),
        (
            "tiny-sampler",
            {name: np.array(value, np.int64) for name, value in numbers.items()} | {"temperature": np.float32([0.7])},
            {"items": sampled.items, "latents": sampled.latents},
        ),
    ):
        got = infer(model, **inputs)
        for name, tensor in expected.items():
            assert got[name].tobytes() == tensor.data, f"{model} {name}"
            assert got[name].shape == tuple(tensor.shape), f"{model} {name}"


def test_an_answer_has_its_queue_and_run_times_in_trailers(call):
    _, done = call("ModelInfer", infer_request("tiny-encoder", {"x": X}))
    assert {"vae-queue-seconds", "vae-run-seconds", "vae-batch-rows"} == set(dict(done.trailing_metadata()))


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (infer_request("tiny", {"x": X[:, :, :2]}), "INVALID_ARGUMENT", "x.shape must be [1..4096, 1, 4, 4], got [7,"),
        (infer_request("tiny", {"x": X}, raw=False, outputs=["y"]), "INVALID_ARGUMENT", "outputs must be items"),
        (infer_request("tiny", {"x": X.astype(np.float16)}), "INVALID_ARGUMENT", "x.datatype must be FP32 or UINT8"),
        (infer_request("tiny-sampler", {"count": np.array([4097])}), "INVALID_ARGUMENT", "count must be 1..4096"),
        (infer_request("tiny", {"x": X}, sequence_id=1), "INVALID_ARGUMENT", "sequences are not supported"),
        (infer_request("tiny", {"x": X}, version="9"), "NOT_FOUND", "no version '9'"),
        (infer_request("x" * 100_000, {"x": X}), "NOT_FOUND", "there are"),
        (infer_request("tiny", {"x": X}, version="9" * 100_000), "NOT_FOUND", "no version '99"),
        (infer_request("tiny", {"x": X}, timeout=1), "DEADLINE_EXCEEDED", "deadline"),
    ],
    ids=[
        "shape", "output", "FP16", "count", "sequence", "version", "a huge name", "a huge version", "a microsecond",
    ],
)  # fmt: skip
def test_a_refusal_has_its_code_and_the_server_goes_on(call, request_, code, message):
    with pytest.raises(grpc.RpcError) as refusal:
        call("ModelInfer", request_)
    assert (refusal.value.code().name, message in refusal.value.details()) == (code, True), refusal.value.details()
    call("ModelInfer", infer_request("tiny", {"x": X}))


def test_rubbish_is_refused_and_the_connection_goes_on(channel, call):
    for rubbish in (b"\xff", b"\x2a\x02\x1a\x7f", bytes(1000)):
        with pytest.raises(grpc.RpcError) as refusal:
            channel.unary_unary(INFER)(rubbish, timeout=60)
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert call("ServerLive", oip.ServerLiveRequest())[0].live


def test_its_rows_share_the_queues_of_the_native_api(channel, stub):
    """A queue holds 4,096 rows: of two requests for as many, one by each API, one is refused."""
    rows = items(4096)
    foreign = infer_request("wide-encoder", {"x": np.frombuffer(rows.data, "<f4").reshape(tuple(rows.shape))})
    calls = (
        stub.Encode.future(pb.EncodeRequest(items=rows, model=WIDE), timeout=60),
        channel.unary_unary(INFER).future(foreign.SerializeToString(), timeout=60),
    )
    done: queue.Queue[grpc.Future] = queue.Queue()
    for call in calls:
        call.add_done_callback(done.put)
    ended = (done.get(timeout=60) for _ in calls)
    refused = next(call for call in ended if call.code() is not grpc.StatusCode.OK)
    for call in calls:
        call.cancel()
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert int(dict(refused.trailing_metadata())["grpc-retry-pushback-ms"]) >= 1


def test_the_server_and_its_models_are_described(call):
    assert call("ServerReady", oip.ServerReadyRequest())[0].ready
    assert call("ServerMetadata", oip.ServerMetadataRequest())[0].name == "vaeserve"
    assert call("ModelReady", oip.ModelReadyRequest(name="tiny-sampler"))[0].ready
    metadata, _ = call("ModelMetadata", oip.ModelMetadataRequest(name="tiny-decoder"))
    assert [list(tensor.shape) for tensor in metadata.inputs] == [[-1, 3]]
    assert call("ModelConfig", oip.ModelConfigRequest(name="tiny"))[0].config.max_batch_size == 4096
    index, _ = call("RepositoryIndex", oip.RepositoryIndexRequest())
    assert len(index.models) == 12


def test_statistics_grow_by_the_requests_and_their_rows(call):
    def statistics():
        (one,) = call("ModelStatistics", oip.ModelStatisticsRequest(name="tiny-encoder"))[0].model_stats
        return one

    before = statistics()
    call("ModelInfer", infer_request("tiny-encoder", {"x": X}))
    after = statistics()
    assert after.inference_count - before.inference_count == len(X)
    assert after.inference_stats.success.count - before.inference_stats.success.count == 1
    assert after.execution_count > before.execution_count
    assert after.inference_stats.compute_infer.ns > before.inference_stats.compute_infer.ns
