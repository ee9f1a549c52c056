"""Arguments become requests and responses become results, without a network."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.fake_service import REF, TRAILERS, floats

from vaeserve import calls, responses
from vaeserve.errors import InvalidInput
from vaeserve.results import ModelRef, Timing
from vaeserve.v1 import vaeserve_pb2 as pb

ANY = calls.choose(None, None)
NO_TIMING = Timing(queue_seconds=None, run_seconds=None, batch_rows=None)
ITEMS = np.linspace(0, 1, 12, dtype=np.float32).reshape(2, 1, 2, 3)


def values(tensor: pb.Tensor) -> np.ndarray:
    return np.frombuffer(tensor.data, "<f4").reshape(tuple(tensor.shape))


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_a_sample_request_says_what_was_asked():
    call = calls.sample(
        calls.choose("toy", 3),
        np.int64(7),
        seed=5,
        first_row=2,
        temperature=0.5,
        output="draw",
        encoding="uint8",
        want_latents=True,
    )
    assert call.path == "/vaeserve.v1.VaeService/Sample"
    assert call.request == pb.SampleRequest(
        model=pb.ModelSelector(name="toy", version="3"),
        count=7,
        seed=5,
        first_row=2,
        temperature=0.5,
        output=pb.OUTPUT_MODE_DRAW,
        encoding=pb.ENCODING_UINT8,
        want_latents=True,
    )


def test_without_a_seed_the_server_picks_one_but_zero_is_a_seed():
    assert not calls.sample(ANY, 1).request.HasField("seed")
    assert calls.sample(ANY, 1, seed=0).request.HasField("seed")


def test_paths_exist_in_the_service():
    service = pb.DESCRIPTOR.services_by_name["VaeService"]
    made = [
        calls.sample(ANY, 1),
        calls.sample_stream(ANY, 1),
        calls.encode(ANY, ITEMS),
        calls.reconstruct(ANY, ITEMS),
        calls.decode(ANY, ITEMS[:, 0, 0]),
        calls.score(ANY, ITEMS),
        calls.list_models(ANY),
        calls.get_model(ANY),
    ]
    assert {f"/{service.full_name}/{method.name}" for method in service.methods} == {call.path for call in made}
    for call in made:
        method = service.methods_by_name[call.path.rsplit("/", 1)[1]]
        assert method.input_type == call.request.DESCRIPTOR
        if isinstance(call, calls.Call):
            assert method.output_type == call.parse(b"").DESCRIPTOR


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_floats_of_any_width_and_byte_order_are_sent_as_float32(dtype):
    tensor = calls.encode(ANY, ITEMS.astype(dtype)).request.items
    assert tensor.dtype == pb.DATA_TYPE_FLOAT32
    np.testing.assert_array_equal(values(tensor), ITEMS.astype(dtype).astype(np.float32))


def test_bytes_are_sent_as_bytes_in_row_order_whatever_their_layout_in_memory():
    items = np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1).transpose(3, 1, 2, 0)
    tensor = calls.reconstruct(ANY, items).request.items
    assert tensor.dtype == pb.DATA_TYPE_UINT8
    assert list(tensor.shape) == [1, 2, 2, 3]
    assert tensor.data == np.ascontiguousarray(items).tobytes()


def test_lists_of_floats_are_items_too():
    assert list(calls.encode(ANY, [[0.0, 1.0]]).request.items.shape) == [1, 2]


def test_values_too_large_for_float32_become_infinite_for_the_server_to_refuse():
    assert values(calls.encode(ANY, [[1e300]]).request.items)[0, 0] == np.inf


@pytest.mark.parametrize(
    ("make", "field", "message"),
    [
        (lambda: calls.encode(ANY, np.zeros((1, 4), int)), "items", "must be uint8 or floats, got int64"),
        (lambda: calls.encode(ANY, np.zeros((1, 4), bool)), "items", "got bool"),
        (lambda: calls.encode(ANY, np.array([[None]])), "items", "got object"),
        (lambda: calls.encode(ANY, [["a"]]), "items", "must be uint8 or floats, got <U1"),
        (lambda: calls.encode(ANY, [[0.0], [0.0, 1.0]]), "items", "must be an array"),
        (lambda: calls.encode(ANY, np.zeros(784)), "items", r"one row is items\[None\]"),
        (lambda: calls.decode(ANY, np.zeros(8)), "latents", r"one row is latents\[None\]"),
        (lambda: calls.decode(ANY, np.zeros((1, 8), np.uint8)), "latents", "must be floats, got uint8"),
        (lambda: calls.sample(ANY, 1.5), "count", "must be an integer, got 1.5"),
        (lambda: calls.sample(ANY, 1, seed=2**63), "seed", r"must be below 2\^63"),
        (lambda: calls.sample(ANY, 1, temperature="hot"), "temperature", "must be a number, got 'hot'"),
        (lambda: calls.sample(ANY, 1, output="mode"), "output", "must be one of 'mean', 'draw', got 'mode'"),
        (lambda: calls.sample(ANY, 1, encoding="gif"), "encoding", "must be one of 'float32', 'uint8', 'png'"),
        (lambda: calls.reconstruct(ANY, ITEMS, latent="max"), "latent", "must be one of 'mean', 'draw', got 'max'"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_field(make: Callable[[], Any], field: str, message: str):
    with pytest.raises(InvalidInput, match=message) as caught:
        make()
    assert [violation.field for violation in caught.value.violations] == [field]


def test_samples_are_read():
    call = calls.sample(ANY, 2)
    result = call.read(pb.SampleResponse(items=floats(ITEMS), seed=5, model=REF), responses.timing(TRAILERS))
    np.testing.assert_array_equal(result.items, ITEMS)
    assert (result.latents, result.png, result.seed) == (None, (), 5)
    assert result.model == ModelRef("toy", "3", "d1935")
    assert result.timing == Timing(queue_seconds=0.00025, run_seconds=0.0015, batch_rows=64)


def test_results_are_read_only():
    result = calls.sample(ANY, 2).read(pb.SampleResponse(items=floats(ITEMS)), NO_TIMING)
    with pytest.raises(ValueError, match="read-only"):
        result.items[0] = 0


def test_a_server_that_does_not_say_how_long_it_took_leaves_the_timing_empty():
    assert responses.timing(()) == NO_TIMING


@pytest.mark.parametrize(
    ("pixels", "shape"), [(np.arange(6).reshape(2, 3), (1, 2, 3)), (np.arange(18).reshape(2, 3, 3), (3, 2, 3))]
)
def test_png_files_come_back_as_files_and_as_items(pixels, shape):
    file = png(pixels.astype(np.uint8))
    result = calls.decode(ANY, [[0.0]]).read(pb.DecodeResponse(png=[file, file]), NO_TIMING)
    assert result.png == (file, file)
    assert result.items.shape == (2, *shape)
    np.testing.assert_array_equal(result.items[1].transpose(1, 2, 0).squeeze(), pixels)


def test_posteriors_are_read_with_what_was_asked_for_and_none_for_the_rest():
    mean, draws = np.ones((2, 3)), np.ones((2, 4, 3))
    response = pb.EncodeResponse(mean=floats(mean), log_var=floats(-mean), embedding_space="s", model=REF)
    result = calls.encode(ANY, ITEMS).read(response, NO_TIMING)
    assert (result.draws, result.kl, result.embedding_space) == (None, None, "s")
    response.draws.CopyFrom(floats(draws))
    response.kl.CopyFrom(floats(mean[:, 0]))
    result = calls.encode(ANY, ITEMS).read(response, NO_TIMING)
    assert result.draws is not None
    assert result.draws.shape == (2, 4, 3)
    np.testing.assert_array_equal(result.kl, [1, 1])


def test_a_state_of_a_newer_server_is_unknown_not_an_error():
    response = pb.ListModelsResponse(models=[pb.ModelSummary(model=REF, state=99)])
    assert calls.list_models(ANY).read(response, NO_TIMING)[0].state == "unknown"
