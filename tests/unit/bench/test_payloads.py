"""The requests that the serving benchmark sends."""

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from bench import payloads
from bench.cells import Cell
from bench.peers import payloads as peer_payloads
from bench.peers.open_inference import infer_request
from vaeserve.v1 import vaeserve_pb2 as pb

SHAPE = (1, 4, 4)


def test_our_requests_differ_in_seeds():
    requests = [pb.SampleRequest.FromString(each) for each in payloads.requests(Cell("Sample", 16, 8), SHAPE)]
    assert {request.count for request in requests} == {16}
    assert len({request.seed for request in requests}) == payloads.VARIANTS


def test_our_requests_carry_rows_in_the_models_range():
    for cell, kind in ((Cell("Encode", 2, 1), pb.EncodeRequest), (Cell("Reconstruct", 2, 1), pb.ReconstructRequest)):
        requests = [kind.FromString(each) for each in payloads.requests(cell, SHAPE)]
        assert {tuple(request.items.shape) for request in requests} == {(2, *SHAPE)}
        values = np.frombuffer(b"".join(request.items.data for request in requests), "<f4")
        assert 0 <= values.min() < values.max() <= 1
        assert len({request.items.data for request in requests}) == payloads.VARIANTS


def test_rubbish_is_one_value_short():
    assert list(pb.EncodeRequest.FromString(payloads.rubbish(SHAPE)).items.shape) == [1, 1, 4, 3]


def test_requests_to_peers_are_those_of_the_open_inference_protocol():
    rows = np.arange(300, dtype=np.float32).reshape(300, 1)
    request = infer_request_message().FromString(infer_request("encoder", {"x": rows, "seed": np.int64([[7]])}))
    assert request.model_name == "encoder"
    assert [(each.name, each.datatype, list(each.shape)) for each in request.inputs] == [
        ("x", "FP32", [300, 1]),
        ("seed", "INT64", [1, 1]),
    ]
    assert list(request.raw_input_contents) == [rows.tobytes(), np.int64(7).tobytes()]


def test_a_peer_gets_the_same_rows():
    cell = Cell("Encode", 2, 1)
    ours = pb.EncodeRequest.FromString(payloads.requests(cell, SHAPE)[3]).items.data
    theirs = infer_request_message().FromString(peer_payloads.requests(cell, SHAPE)[3])
    assert list(theirs.raw_input_contents) == [ours]


def infer_request_message():
    """ModelInferRequest as far as we use it, in a pool of its own."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="inference.proto", package="inference", syntax="proto3")
    message = file.message_type.add(name="ModelInferRequest")
    tensor = message.nested_type.add(name="InferInputTensor")
    for name, number, kind, label in (
        ("name", 1, field.TYPE_STRING, field.LABEL_OPTIONAL),
        ("datatype", 2, field.TYPE_STRING, field.LABEL_OPTIONAL),
        ("shape", 3, field.TYPE_INT64, field.LABEL_REPEATED),
    ):
        tensor.field.add(name=name, number=number, type=kind, label=label)
    message.field.add(name="model_name", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    message.field.add(
        name="inputs",
        number=5,
        type=field.TYPE_MESSAGE,
        label=field.LABEL_REPEATED,
        type_name=".inference.ModelInferRequest.InferInputTensor",
    )
    message.field.add(name="raw_input_contents", number=7, type=field.TYPE_BYTES, label=field.LABEL_REPEATED)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelInferRequest"))
