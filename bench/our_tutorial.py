"""Preset `seed` as a contestant of train.py: `our_tutorial.py NAME ROWS BATCH_SIZE THREADS`.

Everything that `python -m training fit` does in a step is timed: drawing and binarising rows, noise, both networks,
gradient clipping, AdamW, the moving average.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from training import datasets
from training.config.resolve import resolve
from training.model.networks import polyphase
from training.run import hardware, loop, state
from training.run.hardware import Hardware


def machine(name: str, architecture: hardware.Architecture, threads: int) -> Hardware:
    """The machine as `name` of train.py says."""
    if name in ("+ kept memory = fit", "+ torch.compile"):
        return hardware.choose("cpu", "auto", architecture, threads=threads)
    if name != "+ four phases":
        polyphase.is_faster = lambda _h: False
    torch.set_num_threads(threads)
    precision = "bf16" if name in ("+ bf16", "+ four phases") else "fp32"
    return Hardware(torch.device("cpu"), precision, channels_last=name != "eager fp32", threads=threads)


def main() -> None:
    name, file, batch_size, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    config = resolve(name="seed", file=None, flags={"optimisation": {"batch_size": batch_size}})
    here = machine(name, config.architecture, threads)
    dataset = datasets.load(file, environment={})
    this = state.begin(config, item_shape=dataset.item_shape, mean_item=dataset.mean_item(), hardware=here)
    if name == "+ torch.compile":
        this.model.encoder.compile()
        this.model.decoder.compile()
    about = {"parameters": this.model.parameters_count, "about": f"torch {torch.__version__}: {here}"}
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        target = this.step + int(line)
        began = time.perf_counter()
        loop.fit(
            this,
            dataset,
            hardware=here,
            save=lambda: None,
            observe=lambda _event: None,
            stopping=lambda target=target: this.step >= target,
            clock=time.perf_counter,
        )
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main()
