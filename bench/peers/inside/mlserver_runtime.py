"""MLServer's models of the graphs of an artifact; bench/peers/mlserver.py names them in its settings.

It runs in bench/.venv-mlserver and imports nothing of ours. Sampler draws latents itself, Encoder takes items.
"""

import numpy as np
import onnxruntime as ort
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Graph(MLModel):
    """One ONNX file, at the model's uri."""

    async def load(self) -> bool:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.settings.parameters.extra["threads"]
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(self.settings.parameters.uri, options, providers=["CPUExecutionProvider"])
        return True

    def _answer(self, **outputs: np.ndarray) -> InferenceResponse:
        encoded = [NumpyCodec.encode_output(name, array) for name, array in outputs.items()]
        return InferenceResponse(model_name=self.name, outputs=encoded)


class Sampler(Graph):
    """seed [rows, 1] -> items"""

    async def load(self) -> bool:
        self._draws = np.random.default_rng()
        return await super().load()

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = payload.inputs[0].shape[0]
        z = self._draws.standard_normal((rows, self._session.get_inputs()[0].shape[1]), np.float32)
        return self._answer(items=self._session.run(["mean"], {"z": z})[0])


class Encoder(Graph):
    """x -> mean, log_var"""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        mean, log_var = self._session.run(["mean", "logvar"], {"x": NumpyCodec.decode_input(payload.inputs[0])})
        return self._answer(mean=mean, log_var=log_var)
