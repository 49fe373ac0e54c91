"""The ONNX graphs of a bundle: what each takes, how it is traced, and how it is held to the model.

====================  =======================================================================
``rank.onnx``         one user and many candidates, in ids
``score.onnx``        rows of the table ``samples``, in ids
``explain.onnx``      one user and one candidate, and what each event of the history does to it
``rank_indices.onnx``  as ``rank.onnx``, in indices
``din.onnx``          rows of the table ``encoded_samples``, in indices
====================  =======================================================================
"""

from din_core.serving.graphs.index_graph import export_onnx
from din_core.serving.graphs.writing import GraphReport, write_all

__all__ = ["GraphReport", "export_onnx", "write_all"]
