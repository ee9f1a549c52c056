"""A .proto file as Markdown: every service, RPC, message, field and enum with its comment."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from grpc_tools import protoc

# The numbers of these fields in descriptor.proto, of which a comment's path is made.
_MESSAGE, _ENUM, _SERVICE, _FIELD, _VALUE, _METHOD, _SYNTAX = 4, 5, 6, 2, 2, 2, 12
_SCALARS = {number: name.removeprefix("TYPE_").lower() for name, number in FieldDescriptorProto.Type.items()}


def markdown(folder: Path, file: str) -> str:
    """The reference of `file`, which lies in `folder` by the path that others import it by."""
    return "\n\n".join(_File(_descriptor(folder, file)).paragraphs())


def _descriptor(folder: Path, file: str) -> FileDescriptorProto:
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "descriptors"
        if protoc.main(["protoc", f"-I{folder}", "--include_source_info", f"--descriptor_set_out={made}", file]) != 0:
            raise ValueError(f"protoc refuses {file}")
        (descriptor,) = FileDescriptorSet.FromString(made.read_bytes()).file
    return descriptor


class _File:
    def __init__(self, descriptor: FileDescriptorProto) -> None:
        self._descriptor = descriptor
        self._locations = {tuple(each.path): each for each in descriptor.source_code_info.location}

    def paragraphs(self) -> Iterator[str]:
        syntax = self._locations[(_SYNTAX,)]
        yield from map(_plain, (*syntax.leading_detached_comments, syntax.leading_comments))
        for number, service in enumerate(self._descriptor.service):
            yield from self._service(service, (_SERVICE, number))
        for number, message in enumerate(self._descriptor.message_type):
            yield from self._message(message, (_MESSAGE, number))
        for number, enum in enumerate(self._descriptor.enum_type):
            yield from self._enum(enum, (_ENUM, number))

    def _service(self, service: ServiceDescriptorProto, path: tuple[int, ...]) -> Iterator[str]:
        yield f"## Service {service.name}"
        yield f"`{self._descriptor.package}.{service.name}`. {self._comment(path)}"
        for number, method in enumerate(service.method):
            answer = "a stream of " * method.server_streaming + self._type(method.output_type)
            yield f"### {method.name}"
            yield f"Takes {self._type(method.input_type)}, returns {answer}."
            yield self._comment((*path, _METHOD, number))

    def _message(self, message: DescriptorProto, path: tuple[int, ...]) -> Iterator[str]:
        yield f"## {message.name}"
        yield self._comment(path)
        maps = {each.name: each for each in message.nested_type if each.options.map_entry}
        fields = [
            f"- **{field.name}** ({self._field_type(field, maps)}, number {field.number}): "
            f"{self._comment((*path, _FIELD, number))}"
            for number, field in enumerate(message.field)
        ]
        yield "\n".join(fields)

    def _enum(self, enum: EnumDescriptorProto, path: tuple[int, ...]) -> Iterator[str]:
        yield f"## {enum.name}"
        yield self._comment(path)
        yield "\n".join(
            f"- **{value.name}** = {value.number}: {self._comment((*path, _VALUE, number))}"
            for number, value in enumerate(enum.value)
        )

    def _field_type(self, field: FieldDescriptorProto, maps: dict[str, DescriptorProto]) -> str:
        name = field.type_name.rpartition(".")[2]
        if name in maps:
            key, value = maps[name].field
            return f"map of {_SCALARS[key.type]} to {self._type(value.type_name) or _SCALARS[value.type]}"
        words = ["repeated"] * (field.label == field.LABEL_REPEATED) + ["optional"] * field.proto3_optional
        return " ".join([*words, self._type(field.type_name) or _SCALARS[field.type]])

    def _type(self, name: str) -> str:
        """A message or enum: a link if it stands on this page. Empty for scalars, which have no name."""
        package, _, short = name.removeprefix(".").rpartition(".")
        return f"[{short}](#{short.lower()})" if package == self._descriptor.package else short

    def _comment(self, path: tuple[int, ...]) -> str:
        comment = _plain(self._locations[path].leading_comments)
        if not comment:
            raise ValueError(f"{self._descriptor.name} has no comment at {path}")
        return comment


def _plain(comment: str) -> str:
    """The comment with its lines joined to paragraphs."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in comment.split("\n\n")).strip()
