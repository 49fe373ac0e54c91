"""Ours beside the peers, in one run: ``python -m benchmarks``; README.md says how.

What belongs here: harness, generated logs of realistic shape, one small program a side. Nothing of
the product imports it.
"""
