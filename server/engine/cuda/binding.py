"""Binds a session's input and outputs to fixed buffers, by onnxruntime's IO binding."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
import onnxruntime as ort

from server.core.arrays import Floats

Allocate: TypeAlias = Callable[[tuple[int, ...]], Floats]  # allocates host memory of a shape


class BoundBuffers:
    """Buffers for one run of a fixed number of rows; implements lanes.Buffers.

    Host and device memory are allocated once. The rows are copied to the device, then the graph runs. Copying the
    outputs to the host is part of the run. With `captured` it follows the run: a captured CUDA graph is replayed with
    fixed device addresses, and copies to and from the host are not part of it.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        rows: int,
        *,
        device: Literal["cuda", "cpu"],
        allocate: Allocate,
        captured: bool,
    ) -> None:
        self._session = session
        self._binding = session.io_binding()
        self._options = ort.RunOptions()
        if captured:
            # One CUDA graph is captured for each size.
            self._options.add_run_config_entry("gpu_graph_id", str(rows))
        (rows_in,) = session.get_inputs()
        shape = (rows, *rows_in.shape[1:])
        self.rows = allocate(shape)
        self._device_rows = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.float32, device)
        self._binding.bind_ortvalue_input(rows_in.name, self._device_rows)
        self._host_outputs: list[Floats] = []
        self._device_outputs: list[ort.OrtValue] = []
        for output in session.get_outputs():
            shape = (rows, *output.shape[1:])
            if captured:
                value = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.float32, device)
                self._device_outputs.append(value)
            else:
                self._host_outputs.append(allocate(shape))
                value = ort.OrtValue.ortvalue_from_numpy(self._host_outputs[-1])  # a view
            self._binding.bind_ortvalue_output(output.name, value)

    def run(self) -> tuple[Floats, ...]:
        """Run the graph on `self.rows`; one array [rows, ...] for each output, overwritten by the next run."""
        self._device_rows.update_inplace(self.rows)
        self._session.run_with_iobinding(self._binding, self._options)
        return tuple(self._host_outputs) or tuple(value.numpy() for value in self._device_outputs)
