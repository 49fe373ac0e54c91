"""The tests; they mirror `sql`, `din_core` and `din_assets`."""
