"""Options of the source: what goes together, and what is refused because it would do nothing."""

import pytest

from din_assets.assets import ingest
from din_assets.runs import choices
from din_assets.runs.choices import ChoicesError


def config(**options):
    return ingest.InteractionsConfig(**options)


def source_of(options, folder, named=None):
    asked = choices.of_run({"ops": {"interactions": {"config": options}}}, folder)
    return asked.source(named, None)


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"path": "a.csv", "amazon_category": "Books"}, "leave one of them out"),
        ({"amazon_base_url": "http://mirror.example"}, "no effect without amazon_category"),
        ({"path": "a.csv", "synthetic": {"n_users": 5}}, "shape of the synthetic log is given"),
        (
            {"amazon_category": "Books", "synthetic": {"n_users": 5}},
            "shape of the synthetic log is given .*, but .*Books is read",
        ),
    ],
)
def test_options_that_would_do_nothing_are_refused(tmp_path, options, advice):
    with pytest.raises(ChoicesError, match=advice):
        source_of(options, tmp_path)


def test_the_shape_of_the_synthetic_log_beside_a_file_of_the_environment_is_told(tmp_path):
    shape = {"synthetic": {"n_users": 5}}
    assert source_of(shape, tmp_path).warnings == ()
    source = source_of(shape, tmp_path, named=str(tmp_path / "a.csv"))
    assert source.options["path"] == str(tmp_path / "a.csv")
    assert "shape of the synthetic log has no effect: DIN_CSV names" in source.warnings[0]


def test_options_of_the_label_and_the_time_are_run_configuration():
    chosen = config(label_col="click", positive_labels=["2"], time_unit="ms")
    recorded = ingest.ledger_options(chosen)
    assert (recorded["label_col"], recorded["positive_labels"], recorded["time_unit"]) == (
        *("click", ["2"]),
        "ms",
    )
    assert config().label_col is None
