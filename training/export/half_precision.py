"""`convert`: copies an artifact with graphs that compute in half precision; it needs neither the run nor the data."""

import shutil
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import onnx

from server import artifact
from server.artifact import GOLDEN, GraphName, Manifest
from server.engine.engine import relative_error
from training.atomic import creating
from training.errors import TrainingError
from training.evaluation import exported_model
from training.export import parity
from training.export.export import ExportResult, write_facts, write_manifest
from training.run.provenance import libraries

Precision = Literal["fp16"]
# These two take nearly all of the time. A learned prior stays in fp32: its couplings multiply exponentials, and
# log p(z) is a sum of large terms that nearly cancel.
HALVED: tuple[GraphName, ...] = ("encoder", "decoder")


def convert(source: Path, *, precision: Precision, out: Path) -> ExportResult:
    """Write a variant of the fp32 artifact `source` at `out`, which must not exist.

    Inputs and outputs stay float32. golden.npz stays as it is, so the variant is compared with torch in fp32. Raises
    ArtifactError if the variant differs by more than the server allows, TrainingError or OSError; then `out` does not
    exist.
    """
    original = exported_model.read_artifact(source)
    if original.manifest.precision != "fp32":
        raise TrainingError(f"{source}: is {original.manifest.precision} already; convert the fp32 artifact")
    if original.manifest.item.kind == "table":
        raise TrainingError(f"{source}: is of a table, whose columns may hold what float16 cannot (above 65504)")
    with creating(out) as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True)
        for name in HALVED:
            (folder / f"{name}.onnx").write_bytes(half(original.graph(name)))
        draft = _draft(folder, original.manifest, precision)
        write_manifest(folder, draft)
        manifest = replace(draft, provenance={**draft.provenance, "parity": _parity(source, folder)})
        write_facts(folder, manifest)
        exported_model.load(folder)
    return ExportResult(out, manifest)


def half(graph: bytes) -> bytes:
    """A graph whose weights and operations are float16 between its float32 inputs and outputs."""
    # Imported late: they import sympy, and onnxruntime must be imported after server, which turns its telemetry off.
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    converted = OnnxModel(convert_float_to_float16(onnx.load_from_string(graph), keep_io_types=True))
    converted.topological_sort()  # the converter appends the casts of inputs at the end
    proto = converted.model
    del proto.graph.value_info[:]
    onnx.checker.check_model(proto)
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _draft(folder: Path, original: Manifest, precision: Precision) -> Manifest:
    graphs = {
        name: replace(graph, sha256=artifact.sha256_of(folder / graph.file)) for name, graph in original.graphs.items()
    }
    converted = {"from": original.digest, "graphs": list(HALVED), "libraries": libraries()}
    return replace(
        original,
        graphs=graphs,
        precision=precision,
        provenance={**original.provenance, "converted": converted},
    )


def _parity(source: Path, variant: Path) -> Mapping[str, Any]:
    """The variant's errors against its original on the golden rows, and whether a row's bits depend on its batch.

    Both are measured on the CPU.
    """
    fp32, engines = (
        exported_model.load(source).engine,
        [exported_model.load(variant, threads=threads).engine for threads in (1, 2)],
    )
    with np.load(variant / GOLDEN) as archive:
        golden = dict(archive)
    errors: dict[str, float] = {}
    identical: dict[str, bool] = {}
    for name in cast(Collection[GraphName], fp32.graphs):
        graph = fp32.manifest.graphs[name]
        rows = golden[graph.inputs[0]]
        outputs = zip(graph.outputs, engines[0].run(name, rows), fp32.run(name, rows), strict=True)
        errors |= {f"{name}.{out}": relative_error(fp32.manifest, f"{name}.{out}", a, b) for out, a, b in outputs}
        many = np.resize(rows, (max(parity.BATCHES), *rows.shape[1:]))
        identical[name] = parity.rows_alike([lambda part, e=e, n=name: e.run(n, part) for e in engines], many)
    return parity.Parity(errors, identical).to_mapping()
