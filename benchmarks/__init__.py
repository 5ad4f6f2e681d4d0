"""Measures csp beside the standard library's means, in one run: `python -m benchmarks`.  README.md explains the scenarios."""
