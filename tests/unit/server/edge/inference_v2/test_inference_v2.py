"""The Open Inference Protocol over plain numpy graphs: what each view answers, and what is refused."""

import contextlib
import typing
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pool
from hypothesis import given
from hypothesis import strategies as st
from support.inference import arrays, infer_request
from support.toy_model import CPU, GRAPHS, LATENT, Shelf, spec

from server.core.batching.batcher import Batcher
from server.core.batching.offload import Offload
from server.core.batching.scheduler import Scheduler
from server.core.batching.ticket import drive
from server.core.call import Call, CallRecord
from server.core.events import BatchDone, RowsScored
from server.core.likelihood import Gaussian
from server.core.model import Entry, Model, State
from server.core.vae.vae import Vae
from server.edge.inference_v2 import open_inference_pb2 as pb
from server.edge.inference_v2.repository import Repository
from server.edge.inference_v2.servicer import InferenceServicer
from server.edge.inference_v2.statistics import Statistics
from server.errors import DeadlineExceeded, InvalidInput, NotFound

MAX_ROWS = 16


class Calls:
    """A servicer, its statistics, a clock that the test sets, and the calls that the graphs got."""

    def __init__(self) -> None:
        self.statistics = Statistics()
        self.now = 100.0
        self.calls: list[Call] = []
        self.ready = True
        self.scored: list[RowsScored] = []
        self.batchers = {
            name: Batcher(
                graph,
                scheduler=Scheduler(max_batch_rows=8, max_queued_rows=100, max_queued_bytes=10**6),
                observe=self.statistics.batches(model="toy", version="2", graph=name),
                clock=lambda: self.now,
            )
            for name, graph in GRAPHS.items()
        }
        for batcher in self.batchers.values():
            batcher.submit = self.noting(batcher.submit)  # type: ignore[method-assign]
        toy = spec()
        model = Model("toy", "2", toy, Vae(toy, self.batchers), dict.fromkeys(GRAPHS, CPU))
        self.shelf = Shelf(
            [
                Entry("toy", "2", "ready", "", model, is_default=True),
                Entry("toy", "1", "failed", "wrong digest", None, is_default=False),
            ]
        )
        self.offload = Offload(threads=1, deliver=lambda work: work())
        servicer = InferenceServicer(
            self.shelf,
            offload=self.offload,
            max_rows=MAX_ROWS,
            pick_seed=lambda: 77,
            ready=lambda: self.ready,
            statistics=self.statistics,
            observe=self.scored.append,
            clock=lambda: self.now,
        )
        self.methods = {method.rpc.method: method for method in servicer.methods()}

    def noting(self, submit):
        def noted(rows, call):
            self.calls.append(call)
            return submit(rows, call)

        return noted

    def call(self, rpc: str, request: Any, *, deadline: float = 200.0) -> Any:
        self.record = CallRecord()
        call = Call(deadline, observe=self.record.timings.append)
        return drive(self.methods[rpc].handler(request, call, self.record)).wait(10.0)

    def infer(self, *args: Any, **kwargs: Any) -> dict[str, np.ndarray]:
        return arrays(self.call("ModelInfer", infer_request(*args, **kwargs)))

    def close(self) -> None:
        for batcher in self.batchers.values():
            batcher.close()
        self.offload.close()


@pytest.fixture(scope="module")
def lasting() -> Iterator[Calls]:
    calls = Calls()
    yield calls
    calls.close()


@pytest.fixture
def calls() -> Iterator[Calls]:
    made = Calls()
    yield made
    made.close()


X = np.random.default_rng(1).random((3, 1, 2, 2)).astype(np.float32)
Z = np.random.default_rng(2).standard_normal((3, LATENT)).astype(np.float32)
COUNT = np.array([5], np.int64)


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
def test_each_view_answers_with_what_the_vae_computes_raw_or_typed_like_the_request(calls, raw):
    vae, call = calls.shelf.shelf[0].model.vae, Call(float("inf"))
    posterior = drive(vae.encode(X, call=call)).wait(10.0)
    decoded = drive(vae.decode(Z, call=call)).wait(10.0)
    again = drive(vae.reconstruct(X, latent="mean", seed=0, first_row=0, call=call)).wait(10.0)
    sampled = drive(vae.sample(rows=5, seed=3, first_row=2, temperature=0.5, call=call)).wait(10.0)
    expected = {
        "toy-encoder": ({"x": X}, {"mean": posterior.mean, "logvar": posterior.log_var}),
        "toy-decoder": ({"z": Z}, {"mean": decoded.mean}),
        "toy": (
            {"x": X},
            {
                "items": again.decoded.mean,
                "reconstruction_nll": again.reconstruction_nll,
                "kl": again.kl,
                "elbo": again.elbo,
                "percentile": again.elbo_percentile,
            },
        ),
        "toy-sampler": (
            {"count": COUNT, "seed": np.array([3]), "first_row": np.array([2]), "temperature": np.float32([0.5])},
            {"items": sampled.decoded.mean, "latents": sampled.latents(), "seed": np.array([3])},
        ),
    }
    for model, (inputs, outputs) in expected.items():
        response = calls.call("ModelInfer", infer_request(model, inputs, raw=raw))
        assert (response.model_name, response.model_version, response.id) == (model, "2", "mine")
        assert len(response.raw_output_contents) == (len(outputs) if raw else 0)
        got = arrays(response)
        assert list(got) == list(outputs)
        for name, value in outputs.items():
            np.testing.assert_array_equal(got[name], value, err_msg=f"{model} {name}", strict=True)


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
def test_bytes_are_mapped_onto_the_value_range(calls, raw):
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 1, 2, 2) * 20
    as_bytes = calls.infer("toy-encoder", {"x": pixels}, raw=raw)
    as_floats = calls.infer("toy-encoder", {"x": pixels / np.float32(255)}, raw=raw)
    np.testing.assert_array_equal(as_bytes["mean"], as_floats["mean"])


def test_only_the_requested_outputs_come_in_the_requested_order(calls):
    assert list(calls.infer("toy", {"x": X}, outputs=["elbo", "kl"])) == ["elbo", "kl"]


def test_without_a_seed_the_server_picks_one_that_gives_the_rows_again(calls):
    first = calls.infer("toy-sampler", {"count": COUNT})
    assert first["seed"].tolist() == [77]
    again = calls.infer("toy-sampler", {"count": COUNT, "seed": first["seed"]})
    np.testing.assert_array_equal(first["items"], again["items"])


def test_priority_and_timeout_reach_the_scheduler(calls):
    calls.infer("toy-encoder", {"x": X}, priority=2, timeout=1_500_000)
    calls.infer("toy-encoder", {"x": X}, priority=1, timeout=10**12)
    calls.infer("toy-encoder", {"x": X}, timeout=0)
    bulk, urgent, plain = calls.calls
    assert (bulk.priority, bulk.deadline) == ("bulk", 101.5)
    assert (urgent.priority, urgent.deadline) == ("interactive", 200.0)
    assert (plain.priority, plain.deadline) == ("interactive", 200.0)


def test_reconstructions_are_reported_for_drift_and_records_name_model_and_rows(calls):
    again = calls.infer("toy", {"x": X})
    (scored,) = calls.scored
    assert (scored.model, scored.version, scored.latent) == ("toy", "2", "mean")
    np.testing.assert_array_equal(scored.kl, again["kl"])
    record = calls.record
    assert (record.model, record.version, record.rows) == ("toy", "2", 3)


def test_an_answer_past_its_timeout_is_not_sent(calls):
    request = infer_request("toy-decoder", {"z": Z}, timeout=1_000)

    def slow(z):
        calls.now += 1.0
        return GRAPHS["decoder"](z)

    calls.batchers["decoder"]._run = slow
    with pytest.raises(DeadlineExceeded, match="timeout"):
        calls.call("ModelInfer", request)


def broken(change) -> Any:
    request = infer_request("toy-encoder", {"x": X})
    change(request)
    return request


def contents(**fields: Any):
    def change(request) -> None:
        request.ClearField("raw_input_contents")
        request.inputs[0].contents.CopyFrom(pb.InferTensorContents(**fields))

    return change


def typed(**fields: Any):
    """A typed tensor of bytes."""

    def change(request) -> None:
        request.inputs[0].datatype = "UINT8"
        contents(**fields)(request)

    return change


def shape(*dims: int):
    def change(request) -> None:
        request.inputs[0].ClearField("shape")
        request.inputs[0].shape.extend(dims)

    return change


WRONG = {
    "no model": (lambda r: setattr(r, "model_name", ""), "model_name", "is needed"),
    "FP16": (lambda r: setattr(r.inputs[0], "datatype", "FP16"), "x.datatype", "FP32 or UINT8, got 'FP16'"),
    "a long datatype": (lambda r: setattr(r.inputs[0], "datatype", "y" * 10**6), "x.datatype", r"yyy\.\.\."),
    "another name": (lambda r: setattr(r.inputs[0], "name", "y"), "inputs", "must be x, got 'y'"),
    "no input": (lambda r: r.ClearField("inputs"), "inputs", "must have x"),
    "an input twice": (lambda r: r.inputs.append(r.inputs[0]), "inputs", "must name x once"),
    "another shape": (shape(3, 2, 2, 1), "x.shape", r"must be \[1\.\.16, 1, 2, 2\], got \[3, 2, 2, 1\]"),
    "too many rows": (shape(17, 1, 2, 2), "x.shape", r"got \[17"),
    "no rows": (shape(0, 1, 2, 2), "x.shape", r"got \[0"),
    "2^62 rows": (shape(2**62, 1, 2, 2), "x.shape", "got"),
    "many dimensions": (shape(*range(10_000)), "x.shape", "got 10000 dimensions"),
    "fewer bytes": (shape(4, 1, 2, 2), "x.data", "must be 64 bytes .*, got 48"),
    "raw twice": (lambda r: r.raw_input_contents.append(b""), "raw_input_contents", "1 inputs, got 2"),
    "raw and typed": (lambda r: r.inputs[0].contents.SetInParent(), "x.contents", "must be absent"),
    "nothing": (contents(), "x.contents", "must have 12 elements .*, got 0"),
    "fewer elements": (contents(fp32_contents=[0.5]), "x.contents", "must have 12 elements .*, got 1"),
    "another field": (contents(fp64_contents=[0.5] * 12), "x.contents", "must be in fp32_contents, got fp64_contents"),
    "too large bytes": (typed(uint_contents=[0] * 11 + [256]), "x.contents", r"must be 0\.\.255, got 256"),
    "out of range": (contents(fp32_contents=[0.5] * 11 + [2.0]), "x.data", r"must be 0\.\.1, got 2 in row 2"),
    "not a number": (contents(fp32_contents=[float("nan")] * 12), "x.data", "got nan in row 0"),
    "another output": (lambda r: r.outputs.add(name="items"), "outputs", "must be mean, logvar, got 'items'"),
    "an output twice": (lambda r: [r.outputs.add(name="mean") for _ in range(2)], "outputs", "must name mean once"),
    "classification": (
        lambda r: setattr(r.outputs.add(name="mean").parameters["classification"], "int64_param", 3),
        "mean.parameters",
        "classification is not supported",
    ),
    "shared memory": (
        lambda r: setattr(r.inputs[0].parameters["shared_memory_region"], "string_param", "a"),
        "x.parameters",
        "shared memory is not supported",
    ),
    "a sequence": (
        lambda r: setattr(r.parameters["sequence_id"], "int64_param", 1),
        "parameters",
        "sequences are not supported",
    ),
    "an unknown parameter": (
        lambda r: setattr(r.parameters["prioritty"], "int64_param", 1),
        "parameters",
        "must not have 'prioritty': only timeout and priority are known",
    ),
    "a text as timeout": (
        lambda r: setattr(r.parameters["timeout"], "string_param", "1"),
        "parameters.timeout",
        "must be an integer .* got string_param",
    ),
    "an empty timeout": (lambda r: r.parameters["timeout"].SetInParent(), "parameters.timeout", "got nothing"),
    "a timeout in the past": (
        lambda r: setattr(r.parameters["timeout"], "int64_param", -1),
        "parameters.timeout",
        "got -1",
    ),
    "priority 3": (
        lambda r: setattr(r.parameters["priority"], "uint64_param", 3),
        "parameters.priority",
        r"must be 0\.\.2, got 3",
    ),
}


@pytest.mark.parametrize(("change", "field", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_request_is_refused_naming_the_field(lasting, change, field, says):
    with pytest.raises(InvalidInput, match=says) as refusal:
        lasting.call("ModelInfer", broken(change))
    assert refusal.value.field == field
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(
    ("inputs", "field"),
    [
        ({}, "inputs"),
        ({"count": np.array([0])}, "count"),
        ({"count": np.array([MAX_ROWS + 1])}, "count"),
        ({"count": np.array([2**62])}, "count"),
        ({"count": np.array([1, 1])}, "count.shape"),
        ({"count": np.float32([1])}, "count.datatype"),
        ({"count": COUNT, "seed": np.array([-1])}, "seed"),
        ({"count": COUNT, "first_row": np.array([2**48])}, "first_row"),
        ({"count": COUNT, "temperature": np.float32([np.nan])}, "temperature"),
        ({"count": COUNT, "temperature": np.float32([5])}, "temperature"),
        ({"seed": COUNT}, "inputs"),
    ],
)
@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
def test_numbers_of_the_sampler_are_checked(lasting, inputs, field, raw):
    with pytest.raises(InvalidInput) as refusal:
        lasting.infer("toy-sampler", inputs, raw=raw)
    assert refusal.value.field == field


names = st.sampled_from(["x", "z", "count", "seed", "temperature", "mean", "", "\N{SNOWMAN}"])
parameter = st.builds(pb.InferParameter, int64_param=st.integers(-(2**63), 2**63 - 1)) | st.builds(
    pb.InferParameter, string_param=st.sampled_from(["", "1"])
)
some_contents = st.none() | st.builds(
    pb.InferTensorContents,
    fp32_contents=st.lists(st.floats(width=32), max_size=12),
    int64_contents=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=2),
    uint_contents=st.lists(st.integers(0, 2**32 - 1), max_size=4),
)
tensor = st.builds(
    pb.ModelInferRequest.InferInputTensor,
    name=names,
    datatype=st.sampled_from(["FP32", "UINT8", "INT64", "FP16", "BYTES", ""]),
    shape=st.sampled_from([(2, 1, 2, 2), (2, 2), (1,)]) | st.lists(st.sampled_from([1, 2, 0, -1, 2**62]), max_size=4),
    contents=some_contents,
)
request_ = st.builds(
    pb.ModelInferRequest,
    model_name=st.sampled_from(["toy", "toy-encoder", "toy-decoder", "toy-sampler"]),
    parameters=st.dictionaries(st.sampled_from(["timeout", "priority", "other"]), parameter, max_size=1),
    inputs=st.lists(tensor, max_size=3),
    outputs=st.lists(st.builds(pb.ModelInferRequest.InferRequestedOutputTensor, name=names), max_size=1),
    raw_input_contents=st.lists(st.binary(max_size=16), max_size=3),
)


@given(request=request_)
def test_any_request_is_answered_or_refused_as_the_callers_mistake(lasting, request):
    with contextlib.suppress(InvalidInput, DeadlineExceeded):
        lasting.call("ModelInfer", request)


def test_unbounded_items_are_floats_only():
    table = spec(item_shape=(3,), value_range=None, likelihood=Gaussian(0.1))
    calls = Calls()
    calls.shelf.shelf.insert(
        0,
        Entry("table", "1", "ready", "", Model("table", "1", table, Vae(table, calls.batchers), {}), is_default=False),
    )
    try:
        with pytest.raises(InvalidInput, match="must be FP32, got 'UINT8'"):
            calls.infer("table-encoder", {"x": np.zeros((1, 3), np.uint8)})
    finally:
        calls.close()


def test_a_models_name_takes_precedence_over_another_models_view(calls):
    model = calls.shelf.shelf[0].model
    calls.shelf.shelf.append(Entry("toy-encoder", "1", "ready", "", model, is_default=False))
    found = [listed.name for listed in Repository(calls.shelf).listed() if listed.entry.version == "1"]
    assert found == [
        "toy", "toy-decoder", "toy-sampler",
        "toy-encoder", "toy-encoder-encoder", "toy-encoder-decoder", "toy-encoder-sampler",
    ]  # fmt: skip
    call, record = Call(float("inf")), CallRecord()
    with pytest.raises(NotFound), Repository(calls.shelf).admitted("toy-encoder", "2", call, record):
        pass


def test_the_index_has_every_view_of_every_version(calls):
    index = calls.call("RepositoryIndex", pb.RepositoryIndexRequest()).models
    assert [(m.name, m.version, m.state, m.reason) for m in index if m.name.endswith(("toy", "sampler"))] == [
        ("toy", "2", "READY", ""),
        ("toy-sampler", "2", "READY", ""),
        ("toy", "1", "UNAVAILABLE", "wrong digest"),
        ("toy-sampler", "1", "UNAVAILABLE", "wrong digest"),
    ]
    assert {m.version for m in calls.call("RepositoryIndex", pb.RepositoryIndexRequest(ready=True)).models} == {"2"}
    with pytest.raises(InvalidInput, match="repository_name"):
        calls.call("RepositoryIndex", pb.RepositoryIndexRequest(repository_name="mine"))


def test_a_version_in_any_state_is_listed(calls):
    for version, state in enumerate(typing.get_args(State), start=10):
        calls.shelf.shelf.append(Entry("toy", str(version), state, "", None, is_default=False))
    index = calls.call("RepositoryIndex", pb.RepositoryIndexRequest()).models
    assert {m.version for m in index} > {"10", "11", "12", "13"}


def test_readiness_is_told_for_server_and_models(calls):
    def ready(name: str, version: str = "") -> bool:
        return calls.call("ModelReady", pb.ModelReadyRequest(name=name, version=version)).ready

    assert calls.call("ServerLive", pb.ServerLiveRequest()).live
    assert calls.call("ServerReady", pb.ServerReadyRequest()).ready
    assert (ready("toy"), ready("toy-encoder", "2")) == (True, True)
    assert (ready("toy", "1"), ready("toy", "9"), ready("other")) == (False, False, False)
    calls.ready = False
    assert not calls.call("ServerReady", pb.ServerReadyRequest()).ready
    assert not ready("toy")


def test_metadata_and_configuration_describe_the_tensors(calls):
    metadata = calls.call("ModelMetadata", pb.ModelMetadataRequest(name="toy-encoder"))
    assert (metadata.versions, metadata.platform) == (["2"], "vaeserve_onnx")
    assert [(t.name, t.datatype, list(t.shape)) for t in metadata.inputs] == [("x", "FP32", [-1, 1, 2, 2])]
    assert [(t.name, list(t.shape)) for t in metadata.outputs] == [("mean", [-1, 2]), ("logvar", [-1, 2])]
    assert metadata.properties["x.accepts"] == "FP32 UINT8"
    assert (metadata.properties["embedding_space"], metadata.properties["value_range"]) == ("e", "0..1")
    config = calls.call("ModelConfig", pb.ModelConfigRequest(name="toy")).config
    assert (config.max_batch_size, list(config.dynamic_batching.preferred_batch_size)) == (MAX_ROWS, [8])
    assert [list(t.dims) for t in (*config.input, *config.output)] == [[1, 2, 2], [1, 2, 2], [1], [1], [1], [1]]
    assert (config.instance_group[0].count, config.instance_group[0].kind) == (3, pb.ModelInstanceGroup.KIND_CPU)
    sampler = calls.call("ModelConfig", pb.ModelConfigRequest(name="toy-sampler")).config
    assert sampler.max_batch_size == 0
    assert [(t.name, list(t.dims), t.optional) for t in sampler.input] == [
        ("count", [1], False), ("seed", [1], True), ("first_row", [1], True), ("temperature", [1], True),
    ]  # fmt: skip
    assert [list(t.dims) for t in sampler.output] == [[-1, 1, 2, 2], [-1, 2], [1]]


def test_statistics_count_requests_rows_and_batches(calls):
    calls.infer("toy-encoder", {"x": X})
    calls.infer("toy-encoder", {"x": X[:2]})
    with pytest.raises(InvalidInput):
        calls.infer("toy-encoder", {"x": X[:, :, :1]})
    (encoder,) = calls.call("ModelStatistics", pb.ModelStatisticsRequest(name="toy-encoder")).model_stats
    stats = encoder.inference_stats
    assert (encoder.name, encoder.version, encoder.inference_count) == ("toy-encoder", "2", 5)
    assert (stats.success.count, stats.fail.count, stats.queue.count, stats.compute_infer.count) == (2, 1, 2, 2)
    assert encoder.last_inference > 0
    everything = calls.call("ModelStatistics", pb.ModelStatisticsRequest()).model_stats
    assert [s.name for s in everything] == ["toy", "toy-encoder", "toy-decoder", "toy-sampler"]
    with pytest.raises(NotFound):
        calls.call("ModelStatistics", pb.ModelStatisticsRequest(name="other"))
    with pytest.raises(NotFound):
        calls.call("ModelStatistics", pb.ModelStatisticsRequest(name="toy", version="9"))


def test_batches_are_counted_by_their_rows():
    statistics = Statistics()
    observe = statistics.batches(model="toy", version="2", graph="encoder")
    for rows, seconds in ((8, 0.25), (2, 0.125), (8, 0.5)):
        observe(BatchDone(rows=rows, failed_rows=0, reason="full", run_seconds=seconds, queue_seconds=()))
    message = statistics.message(name="toy-encoder", model="toy", version="2", graph="encoder")
    sizes = [(s.batch_size, s.compute_infer.count, s.compute_infer.ns) for s in message.batch_stats]
    assert (message.execution_count, sizes) == (3, [(2, 1, 125_000_000), (8, 2, 750_000_000)])


def test_the_messages_stay_out_of_the_pool_that_other_packages_share():
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("inference.ModelInferRequest")
