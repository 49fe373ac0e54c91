"""What each piece of advice is worth: the same training with one thing changed, over seeds.

:mod:`plan` and :mod:`variants` say what is tried, :mod:`trials` trains and keeps what is finished,
:mod:`pairing` compares with the base on the same samples, :mod:`leaderboard` shows all of it.
"""

from din_core.evaluation.ablation.leaderboard import (
    content_of,
    leaderboard_picture,
    leaderboard_table,
    write_leaderboard,
)
from din_core.evaluation.ablation.plan import Plan, planned
from din_core.evaluation.ablation.trials import Trial, run
from din_core.evaluation.ablation.variants import Variant, variants

__all__ = [
    "Plan",
    "Trial",
    "Variant",
    "content_of",
    "leaderboard_picture",
    "leaderboard_table",
    "planned",
    "run",
    "variants",
    "write_leaderboard",
]
