"""The asset `drift`: what a run says when another log takes the place of the last."""

import base64

import pytest

from din_core.escaping import markdown_text

READING = ("interactions", "rejected_rows", "drift")
CATEGORY = "<b>|$x"


def log_of(write_csv, *, n_rows, category):
    return write_csv(*(f"{n % 9},{n % 7},{n * 3600},{category}" for n in range(n_rows)))


def checks_of(result):
    return {
        each.check_name: each
        for each in result.get_asset_check_evaluations()
        if each.asset_key.to_user_string() == "drift"
    }


def metadata_of(result):
    [shown] = [
        event.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key.to_user_string() == "drift"
    ]
    return shown


@pytest.fixture
def read(pipeline, write_csv):
    def run(**log):
        path = log_of(write_csv, **log)
        pipeline.config["ops"] = {"interactions": {"config": {"path": str(path)}}}
        result = pipeline.run(*READING)
        assert result.success
        return result

    return run


def test_other_log_is_warned_of_with_a_picture_and_what_to_do_also_when_read_again(
    read, pipeline, capsys
):
    pipeline.config["loggers"] = {"console": {"config": {"log_level": "WARNING"}}}
    first = read(n_rows=400, category="a")
    assert all(each.passed for each in checks_of(first).values())
    assert "nothing" in metadata_of(first)["compared_with"].value
    capsys.readouterr()

    second = read(n_rows=300, category=CATEGORY)
    found = checks_of(second)
    assert {name for name, each in found.items() if not each.passed} == {
        "drift_volume",
        "drift_population",
    }
    of_volume = found["drift_volume"].metadata
    assert of_volume["what_to_do"].value.startswith("Compare the source with the one before")
    assert of_volume["offending_rows"].value == 1
    assert "| rows | 400.0 | 300.0 | -0.25 | -0.1 |" in of_volume["examples"].value
    for shown in (of_volume, metadata_of(second)):
        _, _, encoded = shown["drift"].value.partition("base64,")
        assert base64.b64decode(encoded.removesuffix(")")).startswith(b"\x89PNG")
    assert markdown_text(CATEGORY) == "&#60;b&#62;&#124;&#36;x"
    assert "cate&#95;id" in found["drift_population"].metadata["examples"].value
    assert "picture" not in found["drift_ids"].metadata
    said = "".join(capsys.readouterr())
    assert "drift_volume: 1 finding, for example measure='rows', before=400.0, now=300.0" in said
    assert "What to do: Compare the source with the one before" in said

    # The same log, read again, keeps its comparison.
    versions = pipeline.versions()
    again = read(n_rows=300, category=CATEGORY)
    assert pipeline.versions()["drift"] == versions["drift"]
    assert not checks_of(again)["drift_volume"].passed
