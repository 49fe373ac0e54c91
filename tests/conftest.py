"""What all tests share: how hard hypothesis tries, and on how many threads.

``pytest --hypothesis-profile=thorough`` compares 10,000 random logs with the oracle.
"""

import gc
import os

from hypothesis import HealthCheck, settings

# Workers share the cores among them. libgomp reads this when torch loads it.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import din_core  # noqa: F401  (before any test imports torch: see din_core.machine.spinning)

# What the imports make stays: looking through it for garbage took a tenth of the time.
gc.set_threshold(50_000, 20, 100)

# Building all tables takes longer on a busy machine than any fixed deadline would allow.
_common = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("default", max_examples=25, **_common)
settings.register_profile("thorough", max_examples=10_000, **_common)
settings.load_profile("default")


def pytest_addoption(parser):
    parser.addoption(
        "--engine",
        default="sail",
        help="what tests/engines asks beside DuckDB: sail (the default), spark (Apache Spark on "
        "two threads of this machine, needs Java 17), or an address (sc://host:15002)",
    )
