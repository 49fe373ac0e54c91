"""The checks of ``sql/checks`` find the same rows on DuckDB and on the engine."""

import pytest

from din_core.engines import translation
from din_core.store import sql_files
from din_core.tables import checks
from din_core.tables.drift import MEASURES
from tests import broken_tables
from tests.contexts import OF_A_MODEL
from tests.engines import tables

#: Of what an engine makes: a model's answers are DuckDB's in any case.
CHECKS = [check.name for check in checks.all_checks() if check.asset not in OF_A_MODEL]
VIEWS = ("sample_bounds", "encoded_samples")
RELATIONS = (
    "interactions", "known_ids", "users", "items", "attributes", "events", "user_sequences",
    "negatives", "drift", *VIEWS,
)  # fmt: skip

WARNINGS = {
    "events_ties_in_time": "update events set time = 0",
    "events_times_plausible": "update events set time = 5000000000 where user_idx = 5",
    "items_conflicting_attributes": "update interactions set brand = 'other' where line in (1, 2)",
    "negatives_impossible": (
        "delete from items where item_idx not in (select item_idx from events where user_idx = 7)"
    ),
    "samples_balance": ("sample_bounds", "case when user_idx > 3 then 'train' end as split"),
    "drift_ids": "update drift set outcome = 'drifted' where measure = 'new_users'",
    "drift_population": (
        "update drift set outcome = 'drifted' where measure = 'stability_of_attribute'"
    ),
    "drift_time": "update drift set outcome = 'drifted' where measure = 'last_day_rows'",
    "drift_volume": "update drift set outcome = 'drifted' where measure = 'rows'",
}
BROKEN = {
    **{name: each for name, each in broken_tables.SABOTAGE.items() if name in CHECKS},
    **WARNINGS,
}
