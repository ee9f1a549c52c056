"""What tritonclient gets from a server: client.py HOST:PORT REQUESTS.npz DESCRIPTORS ANSWERS.npz, and JSON on stdout.

Runs with the packages of requirements.txt and without this project's.
"""

import asyncio
import json
import queue
import sys

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from google.protobuf import descriptor_pb2, descriptor_pool
from tritonclient.grpc import model_config_pb2, service_pb2
from tritonclient.utils import InferenceServerException

DATATYPES = {"float32": "FP32", "int64": "INT64", "uint8": "UINT8"}
# KServe has it; Triton's descriptors do not.
KSERVE_ONLY = {"properties": "PropertiesEntry"}


def inputs(requests, model):
    """The tensors of one model, which lie under MODEL/INPUT."""
    made = []
    for key in requests.files:
        owner, _, name = key.partition("/")
        if owner == model:
            tensor = triton.InferInput(name, requests[key].shape, DATATYPES[requests[key].dtype.name])
            made.append(tensor.set_data_from_numpy(requests[key]))
    return made


def outputs(result):
    return {tensor.name: result.as_numpy(tensor.name) for tensor in result.get_response().outputs}


def refusal(call):
    """Code and message of a refusal."""
    try:
        call()
    except InferenceServerException as error:
        return [error.status(), error.message()]
    return None


def refusals(client, requests):
    x = inputs(requests, "tiny-encoder")
    narrow = triton.InferInput("x", [2, 1, 4, 3], "FP32").set_data_from_numpy(np.zeros((2, 1, 4, 3), np.float32))
    half = triton.InferInput("x", [2, 1, 4, 4], "FP16").set_data_from_numpy(np.zeros((2, 1, 4, 4), np.float16))
    other = triton.InferInput("y", [2, 1, 4, 4], "FP32").set_data_from_numpy(np.zeros((2, 1, 4, 4), np.float32))
    shared = triton.InferInput("x", [2, 1, 4, 4], "FP32")
    shared.set_shared_memory("region", 128)
    classes = [triton.InferRequestedOutput("mean", class_count=2)]
    return {
        "shape": refusal(lambda: client.infer("tiny-encoder", [narrow])),
        "datatype": refusal(lambda: client.infer("tiny-encoder", [half])),
        "name": refusal(lambda: client.infer("tiny-encoder", [other])),
        "missing": refusal(lambda: client.infer("tiny-encoder", [])),
        "output": refusal(lambda: client.infer("tiny-encoder", x, outputs=[triton.InferRequestedOutput("y")])),
        "shared memory": refusal(lambda: client.infer("tiny-encoder", [shared])),
        "classification": refusal(lambda: client.infer("tiny-encoder", x, outputs=classes)),
        "sequence": refusal(lambda: client.infer("tiny-encoder", x, sequence_id=7, sequence_start=True)),
        "parameter": refusal(lambda: client.infer("tiny-encoder", x, parameters={"speed": 1})),
        "timeout": refusal(lambda: client.infer("tiny-encoder", x, timeout=1)),
        "model": refusal(lambda: client.infer("other", x)),
        "version": refusal(lambda: client.infer("tiny-encoder", x, model_version="9")),
        "load": refusal(lambda: client.load_model("tiny")),
    }


def overlapping(client, requests):
    """Many requests at once through the callbacks of the synchronous client; whether all agree."""
    done = queue.Queue()
    for _ in range(20):
        client.async_infer(
            "tiny-encoder", inputs(requests, "tiny-encoder"), callback=lambda result, error: done.put((result, error))
        )
    answers = [done.get(timeout=60) for _ in range(20)]
    return all(error is None for _, error in answers) and len({r.as_numpy("mean").tobytes() for r, _ in answers}) == 1


def described(client):
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model ready": client.is_model_ready("tiny-sampler"),
        "other ready": client.is_model_ready("other"),
        "server": client.get_server_metadata(as_json=True),
        "metadata": client.get_model_metadata("tiny-encoder", as_json=True),
        "config": client.get_model_config("tiny-encoder", as_json=True),
        "statistics": client.get_inference_statistics("tiny-encoder", as_json=True),
        "index": client.get_model_repository_index(as_json=True),
    }


async def with_aio(target, requests, models):
    async with triton_aio.InferenceServerClient(target) as client:
        answers = {model: outputs(await client.infer(model, inputs(requests, model))) for model in models}
        together = await asyncio.gather(
            *(client.infer("tiny-encoder", inputs(requests, "tiny-encoder"), priority=2) for _ in range(20))
        )
        same = len({result.as_numpy("mean").tobytes() for result in together}) == 1
        ready = await client.is_server_ready()
        statistics = await client.get_inference_statistics("tiny-encoder", as_json=True)
    return answers, same and ready, statistics


def differences(descriptors):
    """Fields, methods and enum values of ours that are not tritonclient's."""
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptors).file:
        pool.AddSerializedFile(file.SerializeToString())
    ours = pool.FindFileByName("open_inference.proto")
    found = []

    def same_fields(mine, theirs):
        for field in mine.fields:
            if field.name in KSERVE_ONLY:
                continue
            other = theirs.fields_by_name.get(field.name)
            facts = [(f.number, f.type, f.is_repeated, named(f)) for f in (field, other) if f is not None]
            if len(facts) < 2 or facts[0] != facts[1]:
                found.append(f"{field.full_name}: {facts}")
        for nested in mine.nested_types:
            if nested.name in KSERVE_ONLY.values():
                continue
            same_fields(nested, theirs.nested_types_by_name[nested.name])
        for enum in mine.enum_types:
            same_values(enum, theirs.enum_types_by_name[enum.name])

    def same_values(mine, theirs):
        numbers = [{value.name: value.number for value in enum.values} for enum in (mine, theirs)]
        if numbers[0] != numbers[1]:
            found.append(f"{mine.full_name}: {numbers}")

    def named(field):
        return (field.message_type or field.enum_type).full_name if field.message_type or field.enum_type else ""

    their_files = (service_pb2.DESCRIPTOR, model_config_pb2.DESCRIPTOR)
    messages = {name: message for file in their_files for name, message in file.message_types_by_name.items()}
    enums = {name: enum for file in their_files for name, enum in file.enum_types_by_name.items()}
    for name, message in ours.message_types_by_name.items():
        same_fields(message, messages[name])
    for name, enum in ours.enum_types_by_name.items():
        same_values(enum, enums[name])
    theirs = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
    for method in ours.services_by_name["GRPCInferenceService"].methods:
        other = theirs[method.name]
        if (method.input_type.full_name, method.output_type.full_name) != (
            other.input_type.full_name,
            other.output_type.full_name,
        ):
            found.append(method.full_name)
    return found


def main(target, requests_path, descriptors_path, answers_path):
    requests = np.load(requests_path)
    models = list(dict.fromkeys(key.partition("/")[0] for key in requests.files))
    client = triton.InferenceServerClient(target)
    synchronous = {model: outputs(client.infer(model, inputs(requests, model))) for model in models}
    patient = client.infer("tiny-encoder", inputs(requests, "tiny-encoder"), timeout=30_000_000, request_id="a7")
    told = {
        "refusals": refusals(client, requests),
        "overlapping": overlapping(client, requests),
        "patient": patient.get_response(as_json=True)["id"],
        "described": described(client),
    }
    asynchronous, told["aio"], told["aio statistics"] = asyncio.run(with_aio(target, requests, models))
    with open(descriptors_path, "rb") as file:
        told["differences"] = differences(file.read())
    arrays = {
        f"{way}/{model}/{name}": array
        for way, answers in (("sync", synchronous), ("aio", asynchronous))
        for model, got in answers.items()
        for name, array in got.items()
    }
    np.savez(answers_path, **arrays)
    client.close()
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
