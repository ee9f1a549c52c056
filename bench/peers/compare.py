"""The server beside PyTriton and MLServer, all serving the dense model of `make bench`: `make bench-peers`.

In every round each is started, loaded cell by cell with the generator of bench/loadgen, and stopped. Peers are
installed from the package index on first use, each into an environment of its own (bench/.venv-*); one that cannot be
installed or started is left out, and why is said. docs/how-to/benchmark.md says how to read it. What follows `--` is
handed to our server.
"""

import sys
from dataclasses import asdict

from bench import artifacts, options, report
from bench.generator import CannotBuild, Generator, build
from bench.peers import comparison
from bench.peers.appearances import Appearances
from bench.peers.contestant import our_server, peers
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
    standing = [Appearances(each, served, arguments.cells) for each in contestants]
    ours = standing[0]
    print(report.heading("Peers", arguments, server_flags), flush=True)
    for number in range(1, arguments.rounds + 1):
        for each in list(standing):
            print(f"{each.contestant.name}: round {number} of {arguments.rounds}", file=sys.stderr, flush=True)
            try:
                each.appear(generator, seconds=arguments.seconds)
            except (CannotInstall, RuntimeError) as problem:
                if each is ours:
                    raise
                print(f"{each.contestant.name} is left out: {problem}\n", flush=True)
                standing.remove(each)
    results = [each.result() for each in standing]
    print(comparison.report(results))
    if arguments.json:
        arguments.json.write_text(report.as_json(contestants=[asdict(each) for each in results]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
