"""Describes a view: its metadata by the Open Inference Protocol, and how it runs as a Triton model configuration."""

from collections.abc import Sequence

from server.core.batching import burst
from server.edge.inference_v2 import open_inference_pb2 as pb
from server.edge.inference_v2.parameters import BULK, INTERACTIVE
from server.edge.inference_v2.repository import LeasedView
from server.edge.inference_v2.tensors import Tensor

PLATFORM = "vaeserve_onnx"
BACKEND = "onnxruntime"


def metadata(found: LeasedView, *, versions: Sequence[str]) -> pb.ModelMetadataResponse:
    """The tensors and properties of a view; `versions` are those that take traffic."""
    spec = found.model.spec
    inputs = found.view.inputs(spec)
    properties = {
        "version": found.model.version,
        "digest": spec.digest,
        "embedding_space": spec.embedding_space,
        "latent_size": str(spec.latent_size),
        "likelihood": spec.likelihood.name,
    }
    if spec.value_range is not None:
        properties["value_range"] = "{:g}..{:g}".format(*spec.value_range)
    properties |= {f"{tensor.name}.accepts": " ".join(tensor.accepts) for tensor in inputs}
    properties |= {f"{tensor.name}.optional": "true" for tensor in inputs if tensor.optional}
    return pb.ModelMetadataResponse(
        name=found.name,
        versions=versions,
        platform=PLATFORM,
        inputs=[_tensor(tensor) for tensor in inputs],
        outputs=[_tensor(tensor) for tensor in found.view.outputs(spec)],
        properties=properties,
    )


def configuration(found: LeasedView, *, max_rows: int) -> pb.ModelConfig:
    """The model configuration of a view: its tensors, executors and batching."""
    view, spec = found.view, found.model.spec
    execution = found.model.graphs[view.graph]
    by_rows = view.takes_rows(spec)
    kind = pb.ModelInstanceGroup.KIND_GPU if execution.provider.startswith("CUDA") else pb.ModelInstanceGroup.KIND_CPU
    return pb.ModelConfig(
        name=found.name,
        platform=PLATFORM,
        backend=BACKEND,
        max_batch_size=max_rows if by_rows else 0,
        input=[
            pb.ModelInput(
                name=tensor.name, data_type=_type(tensor), dims=_dims(tensor, by_rows), optional=tensor.optional
            )
            for tensor in view.inputs(spec)
        ],
        output=[
            pb.ModelOutput(name=tensor.name, data_type=_type(tensor), dims=_dims(tensor, by_rows))
            for tensor in view.outputs(spec)
        ],
        instance_group=[
            pb.ModelInstanceGroup(name=view.graph, count=execution.executors + execution.helpers, kind=kind)
        ],
        dynamic_batching=pb.ModelDynamicBatching(
            preferred_batch_size=[execution.max_batch_rows],
            max_queue_delay_microseconds=round(burst.LONGEST_SECONDS * 1e6),
            priority_levels=BULK,
            default_priority_level=INTERACTIVE,
        ),
    )


def _tensor(tensor: Tensor) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)


def _type(tensor: Tensor) -> str:
    return f"TYPE_{tensor.datatype}"


def _dims(tensor: Tensor, by_rows: bool) -> tuple[int, ...]:
    # With batching, dims leave out the dimension of rows. An output of one number for each row is then [1].
    return (tensor.row_shape or (1,)) if by_rows else tensor.shape
