"""A pipeline on a small log, and what `refresh` did with it."""

import contextlib

from din_assets.command.refresh import refresh

ROWS = [
    f"u{user},i{item},{100 * step + user},c{item % 4}"
    for user in range(12)
    for step, item in enumerate(range(7 * user, 7 * user + 18, 3))
]


class Refreshing:
    """A pipeline on a small log, and what `refresh` did with it.

    Attributes:
        made: What the latest refresh made, by asset, also where it failed.
    """

    def __init__(self, pipeline):
        self.pipeline = pipeline
        self.config = pipeline.config
        self.made = {}
        self.config["ops"]["interactions"] = {"config": {}}

    def __call__(self, until=None, **kwargs):
        """Refresh, all of it or up to an asset; return what was made, by asset."""
        made = self.made = {}
        decisions = refresh(self.pipeline.instance, run_config=self.config, **kwargs)
        with contextlib.closing(decisions):
            for decision in decisions:
                if decision.outcome != "up to date":
                    made |= dict.fromkeys(decision.assets, decision)
                if until in decision.assets:
                    break
        return made
