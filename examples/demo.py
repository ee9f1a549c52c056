"""`make demo`: start the server on the shipped model, use it through the client, write pictures, stop it.

The inputs to reconstruct are samples of another seed, since a clean clone holds models but no data set.
"""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import numpy as np

import vaeserve
from vaeserve import grid

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 60.0
STOP_SECONDS = 40.0
CALLERS = 8  # that call at the same time, so that the server can batch their rows
CALL_ROWS = 16
MEASURE_SECONDS = 1.5


class ServerFailed(Exception):
    """The server did not start, answer or stop as it should; the message holds its output."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=ROOT / "exported", help="folder of models to serve")
    parser.add_argument("--out", type=Path, default=ROOT / "demo", help="folder for the pictures")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that SIGTERM stops the server too
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
        with running_server(arguments.models) as target, vaeserve.Client(target) as client:
            show(client, arguments.out)
    except (ServerFailed, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def show(client: vaeserve.Client, out: Path) -> None:
    """Run every step of the demo."""
    ready = [summary for summary in client.list_models() if summary.state == "ready"]
    chosen = max(ready, key=lambda summary: (summary.is_default, summary.model.name == "mnist")).model
    client = client.using(chosen.name, chosen.version)
    model = client.get_model()
    shape = " x ".join(map(str, model.item_shape))
    print(f"serving {chosen}: {shape} items, {model.latent_size} latents, {model.likelihood} likelihood")

    samples = client.sample(64, seed=5)
    grid.picture(samples.items, columns=8).save(out / "samples.png")
    alone = client.sample(1, seed=5, first_row=7)
    same = np.array_equal(alone.items[0], samples.items[7])
    print(f"row 7 of seed 5, alone and among 64: {'the same, byte for byte' if same else 'DIFFERENT'}")

    inputs = client.sample(32, seed=11).items
    reconstructions = client.reconstruct(inputs, seed=11)
    grid.picture(inputs, under=reconstructions.items, columns=8).save(out / "reconstructions.png")
    elbo, percentile = reconstructions.elbo.mean(), reconstructions.elbo_percentile.mean()
    print(f"reconstructions: mean ELBO {elbo:.1f} nats, mean percentile {percentile:.0f} among held-out rows")

    print(f"\n{CALLERS} callers, {CALL_ROWS} rows a call:")
    rows = inputs[:CALL_ROWS]
    for name, call in (
        ("Sample", lambda: client.sample(CALL_ROWS).timing),
        ("Encode", lambda: client.encode(rows).timing),
        ("Reconstruct", lambda: client.reconstruct(rows).timing),
    ):
        rows_per_second, batch_rows = measured(call)
        print(f"  {name:<12}{rows_per_second:>9,.0f} rows/s, on average {batch_rows:.0f} rows a batch")

    pictures = [os.path.relpath(out / name) for name in ("samples.png", "reconstructions.png")]
    print(f"\nLook at {pictures[0]} and {pictures[1]} (inputs above, reconstructions below).")
    print("Next: `make serve`, and in another terminal `.venv/bin/vaeserve sample`, or")
    print("`.venv/bin/python examples/quickstart.py`. docs/how-to/python.md describes the client,")
    print("README.md how to train and serve a model of your own.")


def measured(call: Callable[[], vaeserve.Timing]) -> tuple[float, float]:
    """Rows per second over all callers, and the mean rows of the batches their calls ran in."""

    def caller(ends: float) -> list[float]:
        batches = []
        while time.perf_counter() < ends:
            batches.append(float(call().batch_rows or 0))
        return batches

    call()  # the first call may be slower
    started = time.perf_counter()
    with ThreadPoolExecutor(CALLERS) as pool:
        batches = [batch for batches in pool.map(caller, [started + MEASURE_SECONDS] * CALLERS) for batch in batches]
    return len(batches) * CALL_ROWS / (time.perf_counter() - started), float(np.mean(batches))


@contextlib.contextmanager
def running_server(models: Path) -> Iterator[str]:
    """A server for as long as the block lasts; yields its HOST:PORT. Raises ServerFailed."""
    port = free_port()
    command = [sys.executable, "-m", "server", "--models", str(models), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--metrics-port", "0"]
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"ORT_DISABLE_TELEMETRY": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches only this process, which stops the server
        )
        try:
            await_serving(process, f"127.0.0.1:{port}", output)
            yield f"127.0.0.1:{port}"
        except vaeserve.VaeServeError as error:
            raise ServerFailed(f"{error} ({error.code}); the server said:\n{printed(output)}") from error
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise ServerFailed(f"the server did not stop within {STOP_SECONDS:g} s of SIGTERM") from None
        if code != 0:
            raise ServerFailed(f"the server ended with exit code {code}:\n{printed(output)}")


def await_serving(process: "subprocess.Popen[bytes]", target: str, output: IO[str]) -> None:
    """Wait until the server takes traffic. Raises ServerFailed if it ends or takes too long."""
    give_up = time.monotonic() + START_SECONDS
    with vaeserve.Client(target, timeout=1.0) as client:
        while time.monotonic() < give_up:
            with contextlib.suppress(vaeserve.Unavailable, vaeserve.DeadlineExceeded):
                if client.health() == "SERVING":
                    return
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(0.1)
                raise ServerFailed(f"the server ended with exit code {code} instead of serving:\n{printed(output)}")
    raise ServerFailed(f"the server was not ready within {START_SECONDS:g} s:\n{printed(output)}")


def printed(output: IO[str]) -> str:
    output.seek(0)
    return output.read().strip()


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
