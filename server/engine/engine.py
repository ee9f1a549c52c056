"""Loads an artifact's graphs into onnxruntime and checks them against manifest and golden outputs."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import numpy as np
import onnxruntime as ort

from server.artifact import GOLDEN, GRAPH_INPUT, Artifact, GraphName, Manifest
from server.core.arrays import Floats
from server.engine.cuda.binding import Allocate, BoundBuffers
from server.engine.cuda.lanes import CudaGraph, Lane, ThreadLane
from server.engine.cuda.pinned_memory import PinnedMemory, cuda_runtime
from server.engine.graph import HostGraph, LoadedGraph
from server.errors import ArtifactError

Device = Literal["cpu", "cuda", "auto"]
GOLDEN_TOLERANCE = 1e-3  # max abs error, relative to max(1, |expected|); CPU kernels differ by 1e-6, CUDA's by 1e-4
# By the manifest's precision. float16 has three digits: the shipped model's largest error is 3.4e-3 on a CPU.
GOLDEN_TOLERANCES = {"fp32": GOLDEN_TOLERANCE, "fp16": 2e-2}
ONNXRUNTIME = str(ort.__version__)
PROVIDER = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class DeviceUnavailable(Exception):
    """The requested device cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Engine:
    """All graphs of one artifact on one device."""

    manifest: Manifest
    provider: str
    graphs: Mapping[str, LoadedGraph]
    cuda_graphs: bool = False

    def run(self, name: GraphName, rows: Floats) -> tuple[Floats, ...]:
        """Run one graph on float32 rows [rows, ...]; one array [rows, ...] for each output."""
        return self.graphs[name](rows)


def load(artifact: Artifact, *, device: Device = "cpu", threads: int = 1, cuda_graphs: bool = False) -> Engine:
    """Load every graph of an artifact and check its golden outputs.

    `threads` is the number of threads inside one run on a CPU. `auto` takes CUDA if it works, else the CPU. With
    `cuda_graphs` the GPU's work is captured once for each batch size and then replayed.
    Raises ArtifactError if a graph is not what the manifest says, DeviceUnavailable if `cuda` cannot be used.
    """
    refuse_two_runtimes()
    chosen = choose_device(device)
    try:
        engine = _load_on_gpu(artifact, cuda_graphs) if chosen == "cuda" else _load_on_cpu(artifact, threads)
    except DeviceUnavailable:
        if device != "auto":
            raise
        engine = _load_on_cpu(artifact, threads)
    _check_golden(artifact, engine)
    return engine


def with_threads(artifact: Artifact, graph: LoadedGraph, threads: int) -> LoadedGraph:
    """Load a CPU graph once more, with another number of threads inside one run. Raises ArtifactError."""
    assert graph.provider == PROVIDER["cpu"]
    return _host_graph(artifact, graph.name, threads)


def choose_device(device: Device) -> Literal["cpu", "cuda"]:
    """The device to try first. Raises DeviceUnavailable if this onnxruntime was built without CUDA."""
    if device == "cpu":
        return "cpu"
    if PROVIDER["cuda"] not in ort.get_available_providers():
        if device == "auto":
            return "cpu"
        raise DeviceUnavailable(
            "device cuda: this onnxruntime has no CUDA provider; install vaeserve[gpu] instead of vaeserve[cpu]"
        )
    ort.preload_dlls()
    return "cuda"


def refuse_two_runtimes() -> None:
    """Raise DeviceUnavailable if both onnxruntime and onnxruntime-gpu are installed.

    They overwrite each other's files, so neither can be relied on.
    """
    installed = []
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            installed.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    if len(installed) > 1:
        raise DeviceUnavailable(f"{' and '.join(installed)} are both installed and share one folder; uninstall one")


def _load_on_cpu(artifact: Artifact, threads: int) -> Engine:
    graphs = {name: _host_graph(artifact, name, threads) for name in artifact.manifest.graphs}
    return Engine(artifact.manifest, PROVIDER["cpu"], graphs)


def _load_on_gpu(artifact: Artifact, cuda_graphs: bool) -> Engine:
    allocate = _pinned_memory()
    graphs = {name: _cuda_graph(artifact, name, cuda_graphs, allocate) for name in artifact.manifest.graphs}
    return Engine(artifact.manifest, PROVIDER["cuda"], graphs, cuda_graphs)


def _host_graph(artifact: Artifact, name: str, threads: int) -> HostGraph:
    graph = artifact.manifest.graphs[name]
    session = _session(artifact, name, threads, [PROVIDER["cpu"]])
    return HostGraph(name, PROVIDER["cpu"], threads, session, graph.inputs[0], graph.outputs)


def _cuda_graph(artifact: Artifact, name: str, cuda_graphs: bool, allocate: Allocate) -> CudaGraph:
    # TF32 would lose three digits; cuDNN's exhaustive search would take seconds for each batch size.
    options = {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": 0, "enable_cuda_graph": int(cuda_graphs)}
    providers = [(PROVIDER["cuda"], options), PROVIDER["cpu"]]
    session = _session(artifact, name, 1, providers)
    unused = [session]

    def shared_lane() -> Lane:
        return Lane(lambda rows: BoundBuffers(session, rows, device="cuda", allocate=allocate, captured=False))

    def own_lane() -> ThreadLane:
        # A session that captures has one stream for all threads, and keeps its captures for the thread that ran.
        # So each lane needs its own.
        own = unused.pop() if unused else _session(artifact, name, 1, providers)
        return ThreadLane(
            lambda rows: BoundBuffers(own, rows, device="cuda", allocate=allocate, captured=True), name=f"{name}-gpu"
        )

    return CudaGraph(name, PROVIDER["cuda"], make_lane=own_lane if cuda_graphs else shared_lane)


def _pinned_memory() -> Allocate:
    try:
        return PinnedMemory(cuda_runtime(str(ort.cuda_version)))
    except OSError as error:
        raise DeviceUnavailable(f"device cuda: the CUDA runtime cannot be loaded: {_first_line(error)}") from error


def _session(artifact: Artifact, name: str, threads: int, providers: list[Any]) -> ort.InferenceSession:
    """A session on the first of the providers. Raises ArtifactError or DeviceUnavailable."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Spinning threads would keep cores from the transport.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A model loaded from bytes reads external data from the working directory: name a folder that does not exist.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(artifact.path / "no-external-data")
    )
    graph = artifact.manifest.graphs[name]
    try:
        # From bytes, so that the graph that runs is the one that was verified.
        session = ort.InferenceSession(artifact.graph(name), options, providers=providers)
    except ArtifactError:
        raise
    except Exception as error:  # onnxruntime has no common error type
        raise ArtifactError(f"{graph.file}: onnxruntime cannot load it: {_first_line(error)}") from error
    # onnxruntime lists CUDA even without a GPU, and falls back silently: only the session has the real provider.
    wanted = providers[0] if isinstance(providers[0], str) else providers[0][0]
    if session.get_providers()[0] != wanted:
        raise DeviceUnavailable("device cuda: onnxruntime fell back to the CPU; no usable GPU, driver or CUDA library")
    _check_tensors(artifact.manifest, name, session)
    return session


def _check_tensors(manifest: Manifest, name: str, session: ort.InferenceSession) -> None:
    file = manifest.graphs[name].file
    item, latent = list(manifest.item.shape), [manifest.latent_size]
    shape = {
        "x": item,
        "z": latent,
        "eps": latent,
        "mean": item if name == "decoder" else latent,
        "logits": item,
        "logvar": latent,
        "log_density": [],
    }
    tensors = [("input", t, GRAPH_INPUT[name]) for t in session.get_inputs()]
    tensors += [("output", t, t.name) for t in session.get_outputs()]
    for kind, tensor, wanted in tensors:
        required = shape.get(wanted)
        allowed = ["batch", *(required or [])]
        if tensor.name != wanted or required is None:
            raise ArtifactError(f"{file}: {kind} {tensor.name!r} is not in the contract")
        got = list(tensor.shape)
        if tensor.type != "tensor(float)" or not got or isinstance(got[0], int) or got[1:] != required:
            raise ArtifactError(
                f"{file}: {kind} {tensor.name!r} is {tensor.type} {got}; it must be tensor(float) {allowed}"
            )
    if len(session.get_inputs()) != 1:
        raise ArtifactError(f"{file}: has {len(session.get_inputs())} inputs; it must have 1")
    got_outputs = tuple(tensor.name for tensor in session.get_outputs())
    if got_outputs != manifest.graphs[name].outputs:
        raise ArtifactError(f"{file}: outputs are {got_outputs}; the manifest says {manifest.graphs[name].outputs}")


def _check_golden(artifact: Artifact, engine: Engine) -> None:
    try:
        with np.load(io.BytesIO((artifact.path / GOLDEN).read_bytes()), allow_pickle=False) as archive:
            golden = dict(archive)
    except Exception as error:  # a broken archive raises types of zipfile, numpy or zlib
        raise ArtifactError(f"{GOLDEN}: cannot be read: {_first_line(error)}") from error
    allowed = GOLDEN_TOLERANCES[artifact.manifest.precision]
    for name, graph in engine.graphs.items():
        spec = artifact.manifest.graphs[name]
        keys = [spec.inputs[0], *(f"{name}.{output}" for output in spec.outputs)]
        if missing := [key for key in keys if key not in golden]:
            raise ArtifactError(f"{GOLDEN}: has no array {missing[0]!r}")
        try:
            results = graph(golden[keys[0]])
        except Exception as error:  # onnxruntime has no common error type
            raise ArtifactError(f"{spec.file}: fails on the golden inputs: {_first_line(error)}") from error
        for key, got in zip(keys[1:], results, strict=True):
            error_size = relative_error(artifact.manifest, key, got, golden[key])
            if not error_size <= allowed:
                raise ArtifactError(
                    f"{GOLDEN}: {key} differs by {error_size:.2g} from what training saw; allowed {allowed:g}"
                )


def relative_error(manifest: Manifest, key: str, got: Floats, expected: Floats) -> float:
    """The greatest |got - expected| / max(unit, |expected|) of the output `key`, which is "graph.output".

    The unit is 1; for decoded items with a scale per value it is that scale. Infinite if the shapes differ.
    """
    if got.shape != expected.shape:
        return float("inf")
    scale = manifest.likelihood.scale if key == "decoder.mean" else None
    unit = np.float64(1.0) if scale is None else np.array(scale).reshape(manifest.item.shape)
    return float(np.max(np.abs(got - expected) / np.maximum(unit, np.abs(expected))))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
