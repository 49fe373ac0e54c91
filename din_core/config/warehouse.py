"""How much of the tables the analysts' file holds."""

from __future__ import annotations

from din_core.config.options import config_class, option


@config_class
class WarehouseConfig:
    """How much of the tables the analysts' file holds."""

    max_rows: int = option(
        500_000_000,
        "Rows up to which a table is published whole. Where a table with users is larger, the file "
        "holds all rows of every n-th user, so that about so many remain; what its views tell of "
        "all users is computed on the whole and stored. Its comments say which is which.",
        ge=1,
    )
