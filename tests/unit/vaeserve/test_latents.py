"""Paths through latent space, and results as torch tensors."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from support.fake_service import REF, floats

import vaeserve
from vaeserve import calls, responses
from vaeserve.v1 import vaeserve_pb2 as pb

RANDOM = np.random.default_rng(0)


def test_interpolation_begins_and_ends_at_its_ends_and_keeps_the_length_between():
    start, end = RANDOM.standard_normal((2, 8))
    end *= np.linalg.norm(start) / np.linalg.norm(end)
    way = vaeserve.interpolate(start, end, 9)
    assert (way.dtype, way.shape) == (np.float32, (9, 8))
    np.testing.assert_allclose(way[[0, -1]], [start, end], rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(way, axis=1), np.linalg.norm(start), rtol=1e-6)
    steps = np.linalg.norm(np.diff(way, axis=0), axis=1)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("start", "end"), [([1.0, 0.0], [3.0, 0.0]), ([1.0, 0.0], [-1.0, 0.0]), ([0.0, 0.0], [1.0, 2.0])]
)
def test_where_no_arc_is_better_than_another_the_way_is_straight(start, end):
    middle = vaeserve.interpolate(start, end, 3)[1]
    np.testing.assert_allclose(middle, np.mean([start, end], axis=0), atol=1e-6)


def test_arithmetic_moves_every_row_by_the_difference_of_the_groups():
    moved = vaeserve.latent_arithmetic([[1.0, 2.0], [3.0, 4.0]], plus=[[10.0, 0.0], [20.0, 0.0]], minus=[[5.0, 1.0]])
    np.testing.assert_array_equal(moved, [[11.0, 1.0], [13.0, 3.0]])


def test_a_traverse_changes_one_value_alone():
    np.testing.assert_array_equal(
        vaeserve.traverse([1.0, 2.0, 3.0], 1, [-1.0, 0.0]), [[1.0, -1.0, 3.0], [1.0, 0.0, 3.0]]
    )


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        (lambda: vaeserve.interpolate([[1.0]], [1.0], 3), r"start must be one latent, \[latent\], got shape \[1, 1\]"),
        (lambda: vaeserve.interpolate([1.0], [1.0, 2.0], 3), "end must have 1 values as start has, got 2"),
        (lambda: vaeserve.interpolate([1.0], [2.0], 1), "steps must be 2 or more, got 1"),
        (lambda: vaeserve.traverse([1.0], 1, [0.0]), r"dimension must be 0\.\.0, got 1"),
        (lambda: vaeserve.traverse([1.0], 0, []), "values must hold at least one value"),
        (
            lambda: vaeserve.latent_arithmetic([1.0], plus=[[1.0]], minus=[[1.0]]),
            r"base must be latents, \[rows, latent\]",
        ),
        (
            lambda: vaeserve.latent_arithmetic([[1.0]], plus=[[1.0, 2.0]], minus=[[1.0]]),
            "plus must have 1 values a row",
        ),
    ],
)
def test_what_is_no_latent_is_refused_by_name(path, problem):
    with pytest.raises(vaeserve.InvalidInput, match=problem):
        path()


def test_a_result_becomes_torch_tensors_of_its_own():
    items = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
    response = pb.SampleResponse(items=floats(items), seed=5, model=REF)
    samples = calls.sample(calls.choose(None, None), 1).read(response, responses.timing(()))
    tensors = samples.torch()
    assert set(tensors) == {"items"}  # latents were not asked for
    tensors["items"] += 1
    torch.testing.assert_close(tensors["items"], torch.from_numpy(items) + 1)
    np.testing.assert_array_equal(samples.items, items)


def test_the_client_itself_loads_no_torch():
    code = "import sys, vaeserve.cli; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
