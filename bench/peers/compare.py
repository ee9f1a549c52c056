"""Compares our server with PyTriton and MLServer on the dense model of `make bench`: `make bench-peers`.

In every round each server is started, loaded cell by cell with the generator of bench/loadgen, and stopped. The first
run installs the peers from the package index, each into its own environment (bench/.venv-*). A peer that cannot be
installed or started is left out, and the output says why. docs/how-to/benchmark.md says how to read the figures. What
follows `--` goes to our server.
"""

import sys
from dataclasses import asdict

from bench import artifacts, options, report
from bench.generator import CannotBuild, Generator, build
from bench.peers import comparison
from bench.peers.contestant import our_server, peers
from bench.peers.contestant_rounds import ContestantRounds
from bench.peers.environment import CannotInstall


def main() -> int:
    given, server_flags = options.split(sys.argv[1:])
    arguments = options.comparison(given, description=__doc__, default=comparison.CELLS)
    try:
        generator = Generator(build(), channels=arguments.channels, cores=arguments.generator_cores)
    except CannotBuild as problem:
        print(problem, file=sys.stderr)
        return 2
    served = artifacts.model("mlp")
    cores = arguments.server_cores
    contestants = (our_server(server_flags, cores=cores), *peers(threads=arguments.peer_threads, cores=cores))
    remaining = [ContestantRounds(each, served, arguments.cells) for each in contestants]
    ours = remaining[0]
    print(report.heading("Peers", arguments, server_flags), flush=True)
    for number in range(1, arguments.rounds + 1):
        for each in list(remaining):
            print(f"{each.contestant.name}: round {number} of {arguments.rounds}", file=sys.stderr, flush=True)
            try:
                each.add(generator, seconds=arguments.seconds)
            except (CannotInstall, RuntimeError) as problem:
                if each is ours:
                    raise
                print(f"{each.contestant.name} is left out: {problem}\n", flush=True)
                remaining.remove(each)
    results = [each.result() for each in remaining]
    print(comparison.report(results))
    if arguments.json:
        arguments.json.write_text(report.as_json(contestants=[asdict(each) for each in results]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
