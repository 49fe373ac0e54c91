"""The library behind the pipeline: sequence building, the Deep Interest Network, its training.

It knows no orchestrator and can be used from a script or a notebook.
"""

import os
import sys

from din_core.machine.spinning import limit_spinning

# Here and nowhere else: whatever the program, it must be done before torch is imported.
limit_spinning(os.environ, sys.modules)
