"""A pipeline on a small log, and what `refresh` did with it."""

from din_assets.command.refresh import refresh

ROWS = [
    f"u{user},i{item},{100 * step + user},c{item % 4}"
    for user in range(12)
    for step, item in enumerate(range(7 * user, 7 * user + 18, 3))
]


class Refreshing:
    """A pipeline on a small log, and what `refresh` did with it."""

    def __init__(self, pipeline):
        self.pipeline = pipeline
        self.config = pipeline.config
        self.config["ops"]["interactions"] = {"config": {}}

    def __call__(self, **kwargs):
        """Refresh and return what was made, by asset."""
        decisions = list(refresh(self.pipeline.instance, run_config=self.config, **kwargs))
        return {
            asset: decision
            for decision in decisions
            for asset in decision.assets
            if decision.outcome != "up to date"
        }
