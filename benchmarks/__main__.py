"""Run every benchmark, one after the other, and say where its result lies."""

from benchmarks import command_line, monitoring

for benchmark in (command_line, monitoring):
    print(benchmark.run())
