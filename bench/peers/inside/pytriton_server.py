"""A PyTriton server of the graphs of an artifact: `pytriton_server.py ARTIFACT THREADS GRPC_PORT HTTP_PORT`.

It runs in bench/.venv-pytriton and imports nothing of ours. `sampler` draws latents itself, `encoder` takes items.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

MAX_ROWS = 256
QUEUE_DELAY_MICROSECONDS = 100  # for a batch to gather


def session(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def main() -> None:
    artifact, threads, grpc_port, http_port = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    decoder, encoder = (session(artifact / f"{name}.onnx", threads) for name in ("decoder", "encoder"))
    latent_size, item_shape = decoder.get_inputs()[0].shape[1], tuple(encoder.get_inputs()[0].shape[1:])
    draws = np.random.default_rng()

    @batch
    def sample(seed: np.ndarray) -> list[np.ndarray]:
        return decoder.run(["mean"], {"z": draws.standard_normal((len(seed), latent_size), np.float32)})

    @batch
    def encode(x: np.ndarray) -> list[np.ndarray]:
        return encoder.run(["mean", "logvar"], {"x": x})

    # Metrics are off, since they cost processor time.
    triton_config = TritonConfig(
        grpc_address="127.0.0.1",
        grpc_port=grpc_port,
        http_address="127.0.0.1",
        http_port=http_port,
        allow_metrics=False,
    )
    batching = ModelConfig(
        max_batch_size=MAX_ROWS, batcher=DynamicBatcher(max_queue_delay_microseconds=QUEUE_DELAY_MICROSECONDS)
    )
    latent = (latent_size,)
    with Triton(config=triton_config) as triton:
        triton.bind(
            model_name="sampler",
            infer_func=sample,
            inputs=[Tensor(name="seed", dtype=np.int64, shape=(1,))],
            outputs=[Tensor(name="items", dtype=np.float32, shape=item_shape)],
            config=batching,
        )
        triton.bind(
            model_name="encoder",
            infer_func=encode,
            inputs=[Tensor(name="x", dtype=np.float32, shape=item_shape)],
            outputs=[
                Tensor(name="mean", dtype=np.float32, shape=latent),
                Tensor(name="log_var", dtype=np.float32, shape=latent),
            ],
            config=batching,
        )
        triton.serve()


if __name__ == "__main__":
    main()
