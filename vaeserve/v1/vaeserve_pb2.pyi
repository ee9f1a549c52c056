from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DataType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DATA_TYPE_UNSPECIFIED: _ClassVar[DataType]
    DATA_TYPE_FLOAT32: _ClassVar[DataType]
    DATA_TYPE_UINT8: _ClassVar[DataType]

class Encoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENCODING_UNSPECIFIED: _ClassVar[Encoding]
    ENCODING_FLOAT32: _ClassVar[Encoding]
    ENCODING_UINT8: _ClassVar[Encoding]
    ENCODING_PNG: _ClassVar[Encoding]

class OutputMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTPUT_MODE_UNSPECIFIED: _ClassVar[OutputMode]
    OUTPUT_MODE_MEAN: _ClassVar[OutputMode]
    OUTPUT_MODE_DRAW: _ClassVar[OutputMode]

class LatentMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LATENT_MODE_UNSPECIFIED: _ClassVar[LatentMode]
    LATENT_MODE_MEAN: _ClassVar[LatentMode]
    LATENT_MODE_DRAW: _ClassVar[LatentMode]

class ModelState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_STATE_UNSPECIFIED: _ClassVar[ModelState]
    MODEL_STATE_LOADING: _ClassVar[ModelState]
    MODEL_STATE_READY: _ClassVar[ModelState]
    MODEL_STATE_FAILED: _ClassVar[ModelState]
    MODEL_STATE_UNLOADED: _ClassVar[ModelState]

class ExecutionSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXECUTION_SOURCE_UNSPECIFIED: _ClassVar[ExecutionSource]
    EXECUTION_SOURCE_MEASURED: _ClassVar[ExecutionSource]
    EXECUTION_SOURCE_CACHED: _ClassVar[ExecutionSource]
    EXECUTION_SOURCE_GIVEN: _ClassVar[ExecutionSource]
DATA_TYPE_UNSPECIFIED: DataType
DATA_TYPE_FLOAT32: DataType
DATA_TYPE_UINT8: DataType
ENCODING_UNSPECIFIED: Encoding
ENCODING_FLOAT32: Encoding
ENCODING_UINT8: Encoding
ENCODING_PNG: Encoding
OUTPUT_MODE_UNSPECIFIED: OutputMode
OUTPUT_MODE_MEAN: OutputMode
OUTPUT_MODE_DRAW: OutputMode
LATENT_MODE_UNSPECIFIED: LatentMode
LATENT_MODE_MEAN: LatentMode
LATENT_MODE_DRAW: LatentMode
MODEL_STATE_UNSPECIFIED: ModelState
MODEL_STATE_LOADING: ModelState
MODEL_STATE_READY: ModelState
MODEL_STATE_FAILED: ModelState
MODEL_STATE_UNLOADED: ModelState
EXECUTION_SOURCE_UNSPECIFIED: ExecutionSource
EXECUTION_SOURCE_MEASURED: ExecutionSource
EXECUTION_SOURCE_CACHED: ExecutionSource
EXECUTION_SOURCE_GIVEN: ExecutionSource

class Tensor(_message.Message):
    __slots__ = ("dtype", "shape", "data")
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    dtype: DataType
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    def __init__(self, dtype: _Optional[_Union[DataType, str]] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ...) -> None: ...

class ModelRef(_message.Message):
    __slots__ = ("name", "version", "digest")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    digest: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class ModelSelector(_message.Message):
    __slots__ = ("name", "version", "label")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    label: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., label: _Optional[str] = ...) -> None: ...

class SampleRequest(_message.Message):
    __slots__ = ("model", "count", "seed", "first_row", "temperature", "output", "encoding", "want_latents")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    WANT_LATENTS_FIELD_NUMBER: _ClassVar[int]
    model: ModelSelector
    count: int
    seed: int
    first_row: int
    temperature: float
    output: OutputMode
    encoding: Encoding
    want_latents: bool
    def __init__(self, model: _Optional[_Union[ModelSelector, _Mapping]] = ..., count: _Optional[int] = ..., seed: _Optional[int] = ..., first_row: _Optional[int] = ..., temperature: _Optional[float] = ..., output: _Optional[_Union[OutputMode, str]] = ..., encoding: _Optional[_Union[Encoding, str]] = ..., want_latents: bool = ...) -> None: ...

class SampleResponse(_message.Message):
    __slots__ = ("items", "png", "seed", "latents", "model")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    PNG_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    items: Tensor
    png: _containers.RepeatedScalarFieldContainer[bytes]
    seed: int
    latents: Tensor
    model: ModelRef
    def __init__(self, items: _Optional[_Union[Tensor, _Mapping]] = ..., png: _Optional[_Iterable[bytes]] = ..., seed: _Optional[int] = ..., latents: _Optional[_Union[Tensor, _Mapping]] = ..., model: _Optional[_Union[ModelRef, _Mapping]] = ...) -> None: ...

class SampleStreamRequest(_message.Message):
    __slots__ = ("model", "count", "seed", "first_row", "temperature", "output", "encoding", "want_latents", "chunk_rows")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    WANT_LATENTS_FIELD_NUMBER: _ClassVar[int]
    CHUNK_ROWS_FIELD_NUMBER: _ClassVar[int]
    model: ModelSelector
    count: int
    seed: int
    first_row: int
    temperature: float
    output: OutputMode
    encoding: Encoding
    want_latents: bool
    chunk_rows: int
    def __init__(self, model: _Optional[_Union[ModelSelector, _Mapping]] = ..., count: _Optional[int] = ..., seed: _Optional[int] = ..., first_row: _Optional[int] = ..., temperature: _Optional[float] = ..., output: _Optional[_Union[OutputMode, str]] = ..., encoding: _Optional[_Union[Encoding, str]] = ..., want_latents: bool = ..., chunk_rows: _Optional[int] = ...) -> None: ...

class SampleStreamResponse(_message.Message):
    __slots__ = ("items", "png", "seed", "latents", "model", "first_row")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    PNG_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    items: Tensor
    png: _containers.RepeatedScalarFieldContainer[bytes]
    seed: int
    latents: Tensor
    model: ModelRef
    first_row: int
    def __init__(self, items: _Optional[_Union[Tensor, _Mapping]] = ..., png: _Optional[_Iterable[bytes]] = ..., seed: _Optional[int] = ..., latents: _Optional[_Union[Tensor, _Mapping]] = ..., model: _Optional[_Union[ModelRef, _Mapping]] = ..., first_row: _Optional[int] = ...) -> None: ...

class EncodeRequest(_message.Message):
    __slots__ = ("model", "items", "draws", "seed", "first_row", "expect_embedding_space", "want_kl")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    DRAWS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    EXPECT_EMBEDDING_SPACE_FIELD_NUMBER: _ClassVar[int]
    WANT_KL_FIELD_NUMBER: _ClassVar[int]
    model: ModelSelector
    items: Tensor
    draws: int
    seed: int
    first_row: int
    expect_embedding_space: str
    want_kl: bool
    def __init__(self, model: _Optional[_Union[ModelSelector, _Mapping]] = ..., items: _Optional[_Union[Tensor, _Mapping]] = ..., draws: _Optional[int] = ..., seed: _Optional[int] = ..., first_row: _Optional[int] = ..., expect_embedding_space: _Optional[str] = ..., want_kl: bool = ...) -> None: ...

class EncodeResponse(_message.Message):
    __slots__ = ("mean", "log_var", "draws", "kl", "embedding_space", "seed", "model")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    LOG_VAR_FIELD_NUMBER: _ClassVar[int]
    DRAWS_FIELD_NUMBER: _ClassVar[int]
    KL_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_SPACE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    mean: Tensor
    log_var: Tensor
    draws: Tensor
    kl: Tensor
    embedding_space: str
    seed: int
    model: ModelRef
    def __init__(self, mean: _Optional[_Union[Tensor, _Mapping]] = ..., log_var: _Optional[_Union[Tensor, _Mapping]] = ..., draws: _Optional[_Union[Tensor, _Mapping]] = ..., kl: _Optional[_Union[Tensor, _Mapping]] = ..., embedding_space: _Optional[str] = ..., seed: _Optional[int] = ..., model: _Optional[_Union[ModelRef, _Mapping]] = ...) -> None: ...

class ReconstructRequest(_message.Message):
    __slots__ = ("model", "items", "latent", "seed", "first_row", "encoding")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    LATENT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    model: ModelSelector
    items: Tensor
    latent: LatentMode
    seed: int
    first_row: int
    encoding: Encoding
    def __init__(self, model: _Optional[_Union[ModelSelector, _Mapping]] = ..., items: _Optional[_Union[Tensor, _Mapping]] = ..., latent: _Optional[_Union[LatentMode, str]] = ..., seed: _Optional[int] = ..., first_row: _Optional[int] = ..., encoding: _Optional[_Union[Encoding, str]] = ...) -> None: ...

class ReconstructResponse(_message.Message):
    __slots__ = ("items", "png", "reconstruction_nll", "kl", "elbo", "elbo_percentile", "seed", "model")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    PNG_FIELD_NUMBER: _ClassVar[int]
    RECONSTRUCTION_NLL_FIELD_NUMBER: _ClassVar[int]
    KL_FIELD_NUMBER: _ClassVar[int]
    ELBO_FIELD_NUMBER: _ClassVar[int]
    ELBO_PERCENTILE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    items: Tensor
    png: _containers.RepeatedScalarFieldContainer[bytes]
    reconstruction_nll: Tensor
    kl: Tensor
    elbo: Tensor
    elbo_percentile: Tensor
    seed: int
    model: ModelRef
    def __init__(self, items: _Optional[_Union[Tensor, _Mapping]] = ..., png: _Optional[_Iterable[bytes]] = ..., reconstruction_nll: _Optional[_Union[Tensor, _Mapping]] = ..., kl: _Optional[_Union[Tensor, _Mapping]] = ..., elbo: _Optional[_Union[Tensor, _Mapping]] = ..., elbo_percentile: _Optional[_Union[Tensor, _Mapping]] = ..., seed: _Optional[int] = ..., model: _Optional[_Union[ModelRef, _Mapping]] = ...) -> None: ...

class DecodeRequest(_message.Message):
    __slots__ = ("model", "latents", "output", "seed", "first_row", "encoding")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    model: ModelSelector
    latents: Tensor
    output: OutputMode
    seed: int
    first_row: int
    encoding: Encoding
    def __init__(self, model: _Optional[_Union[ModelSelector, _Mapping]] = ..., latents: _Optional[_Union[Tensor, _Mapping]] = ..., output: _Optional[_Union[OutputMode, str]] = ..., seed: _Optional[int] = ..., first_row: _Optional[int] = ..., encoding: _Optional[_Union[Encoding, str]] = ...) -> None: ...

class DecodeResponse(_message.Message):
    __slots__ = ("items", "png", "seed", "model")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    PNG_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    items: Tensor
    png: _containers.RepeatedScalarFieldContainer[bytes]
    seed: int
    model: ModelRef
    def __init__(self, items: _Optional[_Union[Tensor, _Mapping]] = ..., png: _Optional[_Iterable[bytes]] = ..., seed: _Optional[int] = ..., model: _Optional[_Union[ModelRef, _Mapping]] = ...) -> None: ...

class ScoreRequest(_message.Message):
    __slots__ = ("model", "items", "importance_samples", "seed", "first_row")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    IMPORTANCE_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    model: ModelSelector
    items: Tensor
    importance_samples: int
    seed: int
    first_row: int
    def __init__(self, model: _Optional[_Union[ModelSelector, _Mapping]] = ..., items: _Optional[_Union[Tensor, _Mapping]] = ..., importance_samples: _Optional[int] = ..., seed: _Optional[int] = ..., first_row: _Optional[int] = ...) -> None: ...

class ScoreResponse(_message.Message):
    __slots__ = ("log_evidence", "elbo", "elbo_percentile", "effective_samples", "seed", "model")
    LOG_EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    ELBO_FIELD_NUMBER: _ClassVar[int]
    ELBO_PERCENTILE_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    log_evidence: Tensor
    elbo: Tensor
    elbo_percentile: Tensor
    effective_samples: Tensor
    seed: int
    model: ModelRef
    def __init__(self, log_evidence: _Optional[_Union[Tensor, _Mapping]] = ..., elbo: _Optional[_Union[Tensor, _Mapping]] = ..., elbo_percentile: _Optional[_Union[Tensor, _Mapping]] = ..., effective_samples: _Optional[_Union[Tensor, _Mapping]] = ..., seed: _Optional[int] = ..., model: _Optional[_Union[ModelRef, _Mapping]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[ModelSummary]
    def __init__(self, models: _Optional[_Iterable[_Union[ModelSummary, _Mapping]]] = ...) -> None: ...

class ModelSummary(_message.Message):
    __slots__ = ("model", "state", "reason", "is_default", "labels", "share")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    model: ModelRef
    state: ModelState
    reason: str
    is_default: bool
    labels: _containers.RepeatedScalarFieldContainer[str]
    share: float
    def __init__(self, model: _Optional[_Union[ModelRef, _Mapping]] = ..., state: _Optional[_Union[ModelState, str]] = ..., reason: _Optional[str] = ..., is_default: bool = ..., labels: _Optional[_Iterable[str]] = ..., share: _Optional[float] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: ModelSelector
    def __init__(self, model: _Optional[_Union[ModelSelector, _Mapping]] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("summary", "item_shape", "value_min", "value_max", "latent_size", "likelihood", "sigma", "learned_prior", "embedding_space", "sampling_version", "metrics", "graphs", "max_request_rows", "scale")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class GraphsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: GraphExecution
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[GraphExecution, _Mapping]] = ...) -> None: ...
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    ITEM_SHAPE_FIELD_NUMBER: _ClassVar[int]
    VALUE_MIN_FIELD_NUMBER: _ClassVar[int]
    VALUE_MAX_FIELD_NUMBER: _ClassVar[int]
    LATENT_SIZE_FIELD_NUMBER: _ClassVar[int]
    LIKELIHOOD_FIELD_NUMBER: _ClassVar[int]
    SIGMA_FIELD_NUMBER: _ClassVar[int]
    LEARNED_PRIOR_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_SPACE_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_VERSION_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    GRAPHS_FIELD_NUMBER: _ClassVar[int]
    MAX_REQUEST_ROWS_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    summary: ModelSummary
    item_shape: _containers.RepeatedScalarFieldContainer[int]
    value_min: float
    value_max: float
    latent_size: int
    likelihood: str
    sigma: float
    learned_prior: bool
    embedding_space: str
    sampling_version: int
    metrics: _containers.ScalarMap[str, float]
    graphs: _containers.MessageMap[str, GraphExecution]
    max_request_rows: int
    scale: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, summary: _Optional[_Union[ModelSummary, _Mapping]] = ..., item_shape: _Optional[_Iterable[int]] = ..., value_min: _Optional[float] = ..., value_max: _Optional[float] = ..., latent_size: _Optional[int] = ..., likelihood: _Optional[str] = ..., sigma: _Optional[float] = ..., learned_prior: bool = ..., embedding_space: _Optional[str] = ..., sampling_version: _Optional[int] = ..., metrics: _Optional[_Mapping[str, float]] = ..., graphs: _Optional[_Mapping[str, GraphExecution]] = ..., max_request_rows: _Optional[int] = ..., scale: _Optional[_Iterable[float]] = ...) -> None: ...

class GraphExecution(_message.Message):
    __slots__ = ("provider", "max_batch_rows", "executors", "threads", "helpers", "source", "rates")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_ROWS_FIELD_NUMBER: _ClassVar[int]
    EXECUTORS_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    HELPERS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    RATES_FIELD_NUMBER: _ClassVar[int]
    provider: str
    max_batch_rows: int
    executors: int
    threads: int
    helpers: int
    source: ExecutionSource
    rates: _containers.RepeatedCompositeFieldContainer[GraphRate]
    def __init__(self, provider: _Optional[str] = ..., max_batch_rows: _Optional[int] = ..., executors: _Optional[int] = ..., threads: _Optional[int] = ..., helpers: _Optional[int] = ..., source: _Optional[_Union[ExecutionSource, str]] = ..., rates: _Optional[_Iterable[_Union[GraphRate, _Mapping]]] = ...) -> None: ...

class GraphRate(_message.Message):
    __slots__ = ("rows", "executors", "threads", "rows_per_second")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    EXECUTORS_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    ROWS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    rows: int
    executors: int
    threads: int
    rows_per_second: float
    def __init__(self, rows: _Optional[int] = ..., executors: _Optional[int] = ..., threads: _Optional[int] = ..., rows_per_second: _Optional[float] = ...) -> None: ...
