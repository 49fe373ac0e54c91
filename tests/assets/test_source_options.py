"""Options of the source: what goes together, and what is refused because it would do nothing."""

import pytest

from din_assets import ingest, refresh_config
from din_core.sources import SourceError


def config(**options):
    return ingest.InteractionsConfig(**options)


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"path": "a.csv", "amazon_category": "Books"}, "leave one of them out"),
        ({"amazon_base_url": "http://mirror.example"}, "no effect without amazon_category"),
    ],
)
def test_options_that_would_do_nothing_are_refused_by_run_and_refresh(monkeypatch, options, advice):
    monkeypatch.delenv("DIN_CSV", raising=False)
    with pytest.raises(SourceError, match=advice):
        ingest.recorded_options(config(**options))
    with pytest.raises(SourceError, match=advice):
        refresh_config.options("interactions", {"ops": {"interactions": {"config": options}}})


def test_the_shape_of_the_synthetic_log_beside_another_log_is_noticed(monkeypatch):
    shape = {"synthetic": {"n_users": 5}}
    monkeypatch.delenv("DIN_CSV", raising=False)
    assert not ingest._synthetic_is_unused(config(**shape))
    assert ingest._synthetic_is_unused(config(path="a.csv", **shape))
    assert ingest._synthetic_is_unused(config(amazon_category="Books", **shape))
    monkeypatch.setenv("DIN_CSV", "a.csv")
    assert ingest._synthetic_is_unused(config(**shape))
    assert not ingest._synthetic_is_unused(config())


def test_options_of_the_label_and_the_time_are_run_configuration():
    chosen = config(label_col="click", positive_labels=["2"], time_unit="ms")
    recorded = ingest.recorded_options(chosen)
    assert (recorded["label_col"], recorded["positive_labels"], recorded["time_unit"]) == (
        *("click", ["2"]),
        "ms",
    )
    assert config().label_col is None
