"""Options of the source: what goes together, and what is refused because it would do nothing."""

import pytest

from din_assets.assets import ingest
from din_assets.making.place_of_options import with_place
from din_assets.runs import choices
from din_assets.runs.choices import ChoicesError
from tests.assets.small_pipeline import failure_of, write_rows


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


@pytest.mark.parametrize(
    ("sentence", "place"),
    [
        (
            "name the right columns with user_col=userId, time_col=at",
            "ops: {interactions: {config: {user_col: userId}}}",
        ),
        (
            "choose one, or ignore the column with label_col='' and go on",
            "ops: {interactions: {config: {label_col: ''}}}",
        ),
        ("the column user_col is not there", None),
        ("read from path of x_user_col=1", None),
    ],
)
def test_sentence_that_gives_an_option_a_value_says_where_it_is_written(sentence, place):
    said = with_place(sentence, "interactions", ["user_col", "label_col", "time_col"])
    if place is None:
        assert said == sentence
    else:
        assert said.startswith(f"{sentence} (options of interactions go into a file for `din run ")
        assert said.endswith(f"or into the launchpad: {place})")


def test_source_without_the_columns_says_where_to_name_them(pipeline, tmp_path, monkeypatch):
    log = write_rows(tmp_path / "log.csv", "1,2,3", header="userId,item_id,time")
    monkeypatch.setenv("DIN_CSV", str(log))
    result = pipeline.run("interactions", config={"ops": {}})
    assert not result.success
    assert "{config: {user_col: userId}}" in failure_of(result)
