"""Compares the server with plain onnxruntime and with its own transport: `make bench`.

For each model it starts `python -m server`, loads it cell by cell with the generator of bench/loadgen, and runs the
same graphs in plain onnxruntime in the same rounds. It prints medians over the rounds as Markdown. What follows `--`
goes to the server: `make bench ARGS="--models mlp -- --executors 2"`. docs/how-to/benchmark.md says how to read it.
"""

import sys
from dataclasses import asdict

from bench import options, report, targets
from bench.generator import CannotBuild, Generator, build
from bench.model_rounds import Plan, measure_model


def main() -> int:
    given, server_flags = options.split(sys.argv[1:])
    arguments = options.serving(given, description=__doc__)
    plan = Plan(
        cells=arguments.cells,
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        raw_seconds=arguments.raw_seconds,
        server_flags=server_flags,
        server_cores=arguments.server_cores,
    )
    try:
        generator = Generator(build(), channels=arguments.channels, cores=arguments.generator_cores)
    except CannotBuild as problem:
        print(problem, file=sys.stderr)
        return 2
    print(report.heading("Serving", arguments, server_flags), flush=True)
    results = []
    for name in arguments.models:
        results.append(measure_model(name, generator, plan))
        print(report.model(results[-1]), flush=True)
    print("## Targets\n")
    print(report.targets(targets.of(results)))
    if arguments.json:
        arguments.json.write_text(report.as_json(plan=asdict(plan), models=[asdict(result) for result in results]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
