"""What all tests share: how hard hypothesis tries.

``pytest --hypothesis-profile=thorough`` compares 10,000 random logs with the oracle.
"""

from hypothesis import HealthCheck, settings

import din_core  # noqa: F401  (before any test imports torch: see din_core.spinning)

# Building all tables takes longer on a busy machine than any fixed deadline would allow.
_common = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("default", max_examples=100, **_common)
settings.register_profile("thorough", max_examples=10_000, **_common)
settings.load_profile("default")
