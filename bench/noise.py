"""What drawing the noise of Sample costs beside decoding it: `noise.py`, in one process, on one core.

64 rows of latents for the decoder of a small network, 64-512-512-784, as tickets of 1, 4, 16 and 64 rows, a seed each.
Drawn ticket by ticket, or for the whole batch at once as the batcher does. Least time of many turns, in alternation.
"""

import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from server.core.noise import Noise, Purpose, draw

import onnxruntime as ort  # isort: skip  # after server, which turns its telemetry off

WIDTHS = (64, 512, 512, 784)
ROWS = 64
TURNS = 300


def main() -> None:
    run, z = decoder(), np.random.default_rng(0).standard_normal((ROWS, WIDTHS[0])).astype(np.float32)
    print(
        f"{'rows a seed':>12}{'decode':>10}{'one by one':>12}{'together':>10}   us for {ROWS} rows; share of decoding"
    )
    for rows in (1, 4, 16, 64):
        noises = [
            Noise(seed=seed, purpose=Purpose.PRIOR, first_row=seed, rows=rows, size=WIDTHS[0])
            for seed in range(ROWS // rows)
        ]
        decode, apart, together = least_microseconds(
            lambda: run.run(None, {"z": z}),
            lambda noises=noises: [draw([noise]) for noise in noises],
            lambda noises=noises: draw(noises),
        )
        shares = f"{apart / decode:.0%} -> {together / decode:.0%}"
        print(f"{rows:>12}{decode:>10.0f}{apart:>12.0f}{together:>10.0f}   {shares}")


def decoder() -> ort.InferenceSession:
    """Random weights; what they are does not change what running them takes."""
    random = np.random.default_rng(0)
    nodes, weights, value = [], [], "z"
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(WIDTHS)):
        weight = random.standard_normal((inputs, outputs)).astype(np.float32) / np.float32(np.sqrt(inputs))
        weights.append(numpy_helper.from_array(weight, f"w{layer}"))
        last = layer == len(WIDTHS) - 2
        nodes.append(helper.make_node("MatMul", [value, f"w{layer}"], ["logits" if last else f"a{layer}"]))
        if not last:
            nodes.append(helper.make_node("Relu", [f"a{layer}"], [f"h{layer}"]))
            value = f"h{layer}"
    nodes.append(helper.make_node("Sigmoid", ["logits"], ["mean"]))
    tensors = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])
        for name, width in (("z", WIDTHS[0]), ("mean", WIDTHS[-1]), ("logits", WIDTHS[-1]))
    ]
    graph = helper.make_graph(nodes, "decoder", tensors[:1], tensors[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def least_microseconds(*computations: Callable[[], object]) -> list[float]:
    least = [float("inf")] * len(computations)
    for _ in range(TURNS):
        for number, compute in enumerate(computations):
            started = time.perf_counter()
            compute()
            least[number] = min(least[number], time.perf_counter() - started)
    return [seconds * 1e6 for seconds in least]


if __name__ == "__main__":
    main()
