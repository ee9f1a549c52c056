"""The message classes of proto/inference/open_inference.proto; `make proto` makes the .pyi file beside this one.

Top-level enums have no class here: use their values by name.
"""

from google.protobuf import message_factory

from server.edge.inference_v2.descriptors import FILE as DESCRIPTOR

globals().update(
    {name: message_factory.GetMessageClass(message) for name, message in DESCRIPTOR.message_types_by_name.items()}
)
