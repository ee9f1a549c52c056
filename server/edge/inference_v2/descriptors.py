"""The descriptors of proto/inference/open_inference.proto, in a separate descriptor pool.

tritonclient defines messages with the same names. A second definition in the default pool would end the process.
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
