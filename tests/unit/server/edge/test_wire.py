"""Tensors of requests are checked completely; tensors of responses carry type and shape."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from server.core.likelihood import Bernoulli, Gaussian
from server.core.spec import Spec
from server.edge import wire
from server.errors import InvalidInput
from vaeserve.v1 import vaeserve_pb2 as pb


def spec(*, shape: tuple[int, ...] = (1, 2, 3), limits: tuple[float, float] | None = (0.0, 1.0)) -> Spec:
    return Spec(
        digest="d",
        embedding_space="e",
        item_shape=shape,
        value_range=limits,
        latent_size=4,
        likelihood=Bernoulli() if limits == (0.0, 1.0) else Gaussian(0.1),
        learned_prior=False,
        sampling_version=1,
        metrics={},
        elbo_percentiles={"mean": np.zeros(101), "draw": np.zeros(101)},
        nll_percentiles={},
        kl_percentiles={},
    )


def floats(values: np.ndarray) -> pb.Tensor:
    return pb.Tensor(dtype=pb.DATA_TYPE_FLOAT32, shape=values.shape, data=values.astype("<f4").tobytes())


GOOD = np.linspace(0, 1, 12, dtype=np.float32).reshape(2, 1, 2, 3)


def test_float_items_arrive_unchanged():
    np.testing.assert_array_equal(wire.items(floats(GOOD), spec(), max_rows=5), GOOD)


@pytest.mark.parametrize("limits", [(0.0, 1.0), (-1.0, 1.0), (10.0, 20.0)])
def test_uint8_items_are_mapped_onto_the_range_and_back_without_loss(limits):
    values = np.arange(256, dtype=np.uint8).reshape(-1, 1, 2, 2)
    model = spec(shape=(1, 2, 2), limits=limits)
    tensor = pb.Tensor(dtype=pb.DATA_TYPE_UINT8, shape=values.shape, data=values.tobytes())
    items = wire.items(tensor, model, max_rows=100)
    assert (items.min(), items.max()) == limits
    response = pb.SampleResponse()
    wire.put_items(response, items, model, chosen=pb.ENCODING_UINT8)
    assert response.items.data == values.tobytes()


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"dtype": pb.DATA_TYPE_UNSPECIFIED}, "items.dtype", "FLOAT32 or DATA_TYPE_UINT8, got DATA_TYPE_UNSPECIFIED"),
        ({"dtype": 77}, "items.dtype", "got 77"),
        ({"shape": [2, 1, 3, 2]}, "items.shape", r"must be \[1..5, 1, 2, 3\], got \[2, 1, 3, 2\]"),
        ({"shape": [12]}, "items.shape", r"got \[12\]"),
        ({"shape": []}, "items.shape", r"got \[\]"),
        ({"shape": [0, 1, 2, 3], "data": b""}, "items.shape", r"got \[0, 1, 2, 3\]"),
        ({"shape": [-2, 1, 2, 3]}, "items.shape", r"got \[-2, 1, 2, 3\]"),
        ({"shape": [2**62, 1, 2, 3]}, "items.shape", "got"),
        ({"shape": [6, 1, 2, 3], "data": bytes(6 * 24)}, "items.shape", r"1\.\.5"),
        ({"data": b""}, "items.data", r"must be 48 bytes for shape \[2, 1, 2, 3\], got 0"),
        ({"data": bytes(49)}, "items.data", "got 49"),
    ],
)
def test_a_malformed_tensor_is_refused_naming_the_field(change, field, says):
    tensor = floats(GOOD)
    for name, value in change.items():
        if name == "shape":
            tensor.ClearField("shape")
            tensor.shape.extend(value)
        else:
            setattr(tensor, name, value)
    with pytest.raises(InvalidInput, match=says) as refusal:
        wire.items(tensor, spec(), max_rows=5)
    assert refusal.value.field == field


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1.001, -0.001])
def test_values_that_are_not_finite_or_out_of_range_are_refused_naming_the_row(bad):
    values = GOOD.copy()
    values[1, 0, 1, 1] = bad
    with pytest.raises(InvalidInput, match=r"must be 0\.\.1, got .* in row 1"):
        wire.items(floats(values), spec(), max_rows=5)


def test_unbounded_values_must_only_be_finite():
    table = spec(shape=(3,), limits=None)
    values = np.array([[1e30, -1e30, 0.0]], np.float32)
    np.testing.assert_array_equal(wire.items(floats(values), table, max_rows=5), values)
    values[0, 1] = np.nan
    with pytest.raises(InvalidInput, match="must be finite, got nan in row 0"):
        wire.items(floats(values), table, max_rows=5)
    with pytest.raises(InvalidInput, match="must be DATA_TYPE_FLOAT32"):
        wire.items(pb.Tensor(dtype=pb.DATA_TYPE_UINT8, shape=[1, 3], data=bytes(3)), table, max_rows=5)


@given(
    dtype=st.sampled_from([0, 1, 2, 3, -1]),
    shape=st.lists(st.integers(-3, 7) | st.sampled_from([2**31, 2**62, -(2**63)]), max_size=5),
    data=st.binary(max_size=200),
)
def test_any_tensor_is_either_accepted_whole_or_refused_as_the_callers_mistake(dtype, shape, data):
    tensor = pb.Tensor(dtype=dtype, shape=shape, data=data)
    try:
        items = wire.items(tensor, spec(), max_rows=5)
    except InvalidInput as refusal:
        assert refusal.field.startswith("items.")
    else:
        assert items.shape == tuple(shape)
        assert items.dtype == np.float32
        assert np.isfinite(items).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_png_is_a_picture_of_each_row(channels):
    model = spec(shape=(channels, 4, 5))
    values = np.random.default_rng(0).random((3, channels, 4, 5)).astype(np.float32)
    response = pb.SampleResponse()
    wire.put_items(response, values, model, chosen=pb.ENCODING_PNG)
    assert len(response.png) == 3
    pixels = np.asarray(Image.open(io.BytesIO(response.png[2])))
    expected = np.rint(values[2] * 255).astype(np.uint8)
    np.testing.assert_array_equal(pixels, expected[0] if channels == 1 else expected.transpose(1, 2, 0))


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        (spec(shape=(3,), limits=None), pb.ENCODING_UINT8),
        (spec(shape=(3,), limits=None), pb.ENCODING_PNG),
        (spec(shape=(3,)), pb.ENCODING_PNG),
        (spec(shape=(2, 4, 4)), pb.ENCODING_PNG),
        (spec(), 99),
    ],
)
def test_an_encoding_that_the_model_cannot_have_is_refused(model, encoding):
    with pytest.raises(InvalidInput, match="encoding"):
        wire.encoding(encoding, model)


def test_temperature_is_1_unless_given_and_never_nan():
    assert wire.temperature(pb.SampleRequest()) == 1.0
    assert wire.temperature(pb.SampleRequest(temperature=0.0)) == 0.0
    for bad in (-0.1, 4.5, float("nan"), float("inf")):
        with pytest.raises(InvalidInput, match="temperature"):
            wire.temperature(pb.SampleRequest(temperature=bad))
