"""What `bench.py` is made of, and the measurements behind `docs/benchmarks.md`.

Every ratio is of numbers from one run on one machine: the two sides take turns.
"""
