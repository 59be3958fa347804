"""What is measured, not tested: `make bench` runs every benchmark and writes benchmarks/results/."""
