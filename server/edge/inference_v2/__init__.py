"""The Open Inference Protocol, version 2 (inference.GRPCInferenceService), for clients of Triton and KServe.

descriptors          the descriptors that `make proto` makes of the .proto, in a separate descriptor pool
open_inference_pb2   the messages
tensors              tensors of requests and responses, raw or typed, checked before anything is allocated
parameters           timeout and priority of a request; others are refused
views                the four models as which these clients see one VAE
repository           finds and lists the views by their names
statistics           counts and times of ModelInfer requests and of batches
description          metadata and configuration of a view
servicer             the RPCs
"""
