"""The bundle: one folder with all that a server needs, written here and read here.

What reads it imports numpy, pyarrow and onnxruntime alone. What writes it is
:mod:`din_core.serving.bundle.building`.
"""
