"""The descriptors of proto/inference/open_inference.proto, in a pool of their own.

tritonclient brings messages of the same names, and two of a name in the default pool end the process.
"""

from importlib import resources

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool

POOL = DescriptorPool()
_files = descriptor_pb2.FileDescriptorSet.FromString(
    resources.files("server.edge.inference_v2").joinpath("open_inference.binpb").read_bytes()
)
for _file in _files.file:
    POOL.AddSerializedFile(_file.SerializeToString())
FILE = POOL.FindFileByName("open_inference.proto")
