"""Whether 8-bit integers would serve faster than fp32 on this machine, and what they cost: `int8.py --data mnist`.

Encoder and decoder of exported/mnist/1, statically quantised (QDQ, per channel, MinMax over 500 training rows and draws
from the prior), beside the graphs that are served: rows/s on one thread, both in alternation in one process, the median
of many turns; then -log p(x) and ELBO of 500 test rows. docs/decisions/0008-no-int8.md is about its tables.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch

from server.artifact import GRAPH_INPUT
from server.core.arrays import Floats
from training import datasets
from training.evaluation import exported_model
from training.evaluation.evaluate import Evaluation, evaluate
from training.run.minibatches import client_input

import onnxruntime as ort  # isort: skip  # after server, which turns its telemetry off
from onnxruntime import quantization  # isort: skip
from onnxruntime.quantization.shape_inference import quant_pre_process  # isort: skip

EXPORTED = Path(__file__).parents[1] / "exported" / "mnist" / "1"
QUANTISED = ("encoder", "decoder")
RECIPES = {"every operator": None, "Conv and Gemm": ["Conv", "Gemm"]}
CALIBRATION_ROWS = 500
BATCHES = (1, 8, 64)
TURNS, WINDOW_SECONDS = 15, 0.1
EVALUATED_ROWS, IMPORTANCE_SAMPLES = 500, 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="As for `python -m training evaluate`: mnist, or a folder.")
    dataset = datasets.load(parser.parse_args().data, environment=os.environ)
    model = exported_model.load(EXPORTED, threads=1)
    rows = calibration_rows(model, dataset)
    print(f"onnxruntime {ort.__version__}, one thread; rows/s, median of {TURNS} turns; int8 / fp32")
    base = figures(model, dataset)
    with tempfile.TemporaryDirectory() as folder:
        for recipe, operators in RECIPES.items():
            files = {name: Path(folder) / f"{name}.onnx" for name in QUANTISED}
            graphs = {name: quantised(name, rows[name], files[name], operators) for name in QUANTISED}
            print(f"\n{recipe}")
            for name in QUANTISED:
                runs = [runner((EXPORTED / f"{name}.onnx").read_bytes(), name), runner(graphs[name], name)]
                for batch in BATCHES:
                    fp32, int8 = rows_per_second(runs, np.resize(rows[name], (batch, *rows[name].shape[1:])))
                    print(f"{name:>8} {batch:>4} rows{fp32:>10,.0f}{int8:>10,.0f}{int8 / fp32:>8.2f}", flush=True)
            print(f"nats, {EVALUATED_ROWS} test rows, {IMPORTANCE_SAMPLES} importance samples, the same draws")
            print(f"{'':>24}{'-log p(x)':>12}{'':>8}{'ELBO':>12}")
            print(f"{'fp32':>24}{base.nll.mean:>12.3f}{'':>8}{base.elbo.mean:>12.3f}")
            for chosen in (("decoder",), ("encoder",), QUANTISED):
                got = figures(with_graphs(model, {name: graphs[name] for name in chosen}), dataset)
                moved = f"{got.nll.mean:>12.3f}{got.nll.mean - base.nll.mean:>+8.3f}"
                moved += f"{got.elbo.mean:>12.3f}{got.elbo.mean - base.elbo.mean:>+8.3f}"
                print(f"{'int8 ' + ' and '.join(chosen):>24}{moved}", flush=True)


def calibration_rows(model: exported_model.ExportedModel, dataset: datasets.Dataset) -> Mapping[str, Floats]:
    """Inputs as the server sees them: pictures for the encoder, draws from the prior for the decoder."""
    noise = torch.randn(CALIBRATION_ROWS, model.manifest.latent_size, generator=torch.Generator().manual_seed(0))
    pictures = client_input(dataset.split("train").rows[:CALIBRATION_ROWS])
    return {"encoder": pictures.numpy(), "decoder": model.from_noise(noise).numpy()}


def quantised(name: str, rows: Floats, file: Path, operators: list[str] | None) -> bytes:
    prepared = file.with_suffix(".prepared.onnx")
    quant_pre_process(EXPORTED / f"{name}.onnx", prepared)
    quantization.quantize_static(
        prepared,
        file,
        Rows(name, rows),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=operators,
        per_channel=True,
        # Without VNNI, avx2 adds pairs of products in 16 bits: weights of 7 bits cannot overflow those.
        reduce_range=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
    )
    return file.read_bytes()


class Rows(quantization.CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Calibration rows in batches."""

    def __init__(self, name: str, rows: Floats) -> None:
        self._batches: Iterator[dict[str, Floats]] = iter(
            [{GRAPH_INPUT[name]: rows[start : start + 50]} for start in range(0, len(rows), 50)]
        )

    def get_next(self) -> dict[str, Floats] | None:
        return next(self._batches, None)


def session(graph: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def runner(graph: bytes, name: str) -> Callable[[Floats], object]:
    runs = session(graph)
    return lambda rows: runs.run(None, {GRAPH_INPUT[name]: rows})


def rows_per_second(runs: list[Callable[[Floats], object]], rows: Floats) -> list[float]:
    """The median rate of each, measured in turn so that none has the quiet moments for itself."""
    rates: list[list[float]] = [[] for _ in runs]
    for _ in range(TURNS):
        for rate, run in zip(rates, runs, strict=True):
            done, started = 0, time.perf_counter()
            while (spent := time.perf_counter() - started) < WINDOW_SECONDS:
                run(rows)
                done += len(rows)
            rate.append(done / spent)
    return [statistics.median(rate) for rate in rates]


def with_graphs(model: exported_model.ExportedModel, graphs: Mapping[str, bytes]) -> exported_model.ExportedModel:
    """The model with other graphs in the place of some; the server would refuse it by its golden outputs."""

    def run(name: str, graph: bytes) -> Callable[[Floats], tuple[Floats, ...]]:
        runs = session(graph)
        outputs = model.manifest.graphs[name].outputs
        return lambda rows: tuple(runs.run(outputs, {GRAPH_INPUT[name]: rows}))

    others = {name: run(name, graph) for name, graph in graphs.items()}
    return exported_model.ExportedModel(replace(model.engine, graphs={**model.engine.graphs, **others}))


def figures(model: exported_model.ExportedModel, dataset: datasets.Dataset) -> Evaluation:
    torch.set_num_threads(1)
    return evaluate(
        model,
        dataset,
        split="test",
        samples=IMPORTANCE_SAMPLES,
        estimator="importance",
        seed=0,
        most_rows=EVALUATED_ROWS,
        with_baselines=False,
        begin=lambda _: None,
        done=lambda _: None,
    )


if __name__ == "__main__":
    main()
