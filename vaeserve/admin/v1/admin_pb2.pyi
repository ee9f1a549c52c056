from vaeserve.v1 import vaeserve_pb2 as _vaeserve_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReloadRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReloadResponse(_message.Message):
    __slots__ = ("models", "complaint")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    COMPLAINT_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[_vaeserve_pb2.ModelSummary]
    complaint: str
    def __init__(self, models: _Optional[_Iterable[_Union[_vaeserve_pb2.ModelSummary, _Mapping]]] = ..., complaint: _Optional[str] = ...) -> None: ...
