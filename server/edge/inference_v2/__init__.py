"""The Open Inference Protocol, version 2 (inference.GRPCInferenceService), for clients of Triton and KServe.

descriptors          what `make proto` made of the .proto, in a descriptor pool of their own
open_inference_pb2   the messages
tensors              elements in and out: raw or typed, checked before anything is allocated
parameters           timeout and priority; whatever is not supported is refused
views                the four models that one VAE is to such clients
repository           which names there are
statistics           what ModelInfer and the graphs have done
description          metadata and configuration of a view
servicer             the RPCs
"""
