"""The method table's entries."""

from dataclasses import replace

from server.edge.methods import Unary
from vaeserve.v1 import vaeserve_pb2 as pb


def test_a_copy_of_a_method_is_counted_as_the_method():
    method = Unary("/p.S/M", pb.SampleRequest, lambda request, call, record: iter(()))
    assert replace(method, public=True).rpc is method.rpc
