"""The library behind the pipeline: sequence building, the Deep Interest Network, its training.

It knows no orchestrator and can be used from a script or a notebook.
"""
