"""Pictures of explanations show what the table says, whatever ids and names look like."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from din_core import store
from din_core.evaluation import attention_pictures
from din_core.evaluation.attention_pictures import draw

WEIGHTS = ("attention_weight_item", "attention_weight_cate")


def event(user, k, place, cate, target_cate, change, **others):
    """A row of the table: the candidate is taken where k is 0."""
    return {
        "user_id": user,
        "position": 99,
        "k": k,
        "history_position": place,
        "label": int(k == 0),
        "target_item_id": f"target {k}",
        "target_cate_id": target_cate,
        "score": 0.75,
        "hist_item_id": f"item {place}",
        "hist_cate_id": cate,
        "hist_time": datetime(2024, 2, 28, tzinfo=UTC) + timedelta(days=place),
        "attention_weight_item": 0.25,
        "attention_weight_cate": 0.5,
        "weights_are_shares": False,
        "score_without": 0.5,
        "score_change": 0.25,
        "log_odds_change": change,
    } | others


@pytest.fixture
def drawn(con):
    def of(rows, folder):
        con.register("attention_weights", pa.Table.from_pylist(rows))
        return draw(con, folder)

    yield of
    store.unregister(con, "attention_weights")


def said_by(rows, folder, name):
    """What one picture says; to draw the others takes twice as long again."""
    figure = next(each for of, each in attention_pictures._figures(rows) if of == name)
    return texts(attention_pictures._saved(figure, folder / name))


def texts(png):
    """What the SVG beside a picture says."""
    found = ElementTree.parse(png.with_suffix(".svg")).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(each.itertext()) for each in found]


def test_history_is_shown_with_a_row_for_each_candidate(drawn, tmp_path):
    rows = [event("u", k, place, "c", "d", 0.5) for k in (0, 1) for place in (1, 2)]
    pictures = drawn(rows, tmp_path)
    assert list(pictures) == ["changes", "weights", "categories"]
    said = texts(pictures["changes"])
    assert "user u: events from 2024-02-29 to 2024-03-01" in said
    assert [text for text in said if "score" in text] == [
        "d / target 0, taken, score 0.75",
        "d / target 1, not taken, score 0.75",
    ]
    assert [text for text in said if text.startswith("c / item")] == ["c / item 1", "c / item 2"]
    for png in pictures.values():
        with Image.open(png) as picture:
            assert picture.format == "PNG"


@pytest.mark.parametrize("largest", [0.01, 500.0])
def test_colour_of_a_cell_is_the_change_of_its_event_for_its_candidate(largest):
    rows = [
        event("u", k, place, "c", "d", largest * change)
        for k, changes in enumerate([(1.0, -1.0, 0.01), (0.0, 0.0, 1.0)])
        for place, change in enumerate(changes)
    ]
    [figure] = [each for name, each in attention_pictures._figures(rows) if name == "changes"]
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels, axes = np.asarray(canvas.buffer_rgba()), figure.axes[0]

    def colour(column, row):
        x, y = axes.transData.transform((column, row)).round().astype(int)
        red, _, blue, _ = pixels[-y, x].astype(int)
        return "red" if red > blue + 50 else "blue" if blue > red + 50 else "pale"

    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert [label.split(",")[1] for label in labels] == [" taken", " not taken"]
    assert [colour(place, 0) for place in range(3)] == ["red", "blue", "pale"]
    assert [colour(place, 1) for place in range(3)] == ["pale", "pale", "red"]
    below, above = (axes.transData.transform((0, row))[1] for row in (1, 0))
    assert below < above


def test_weights_are_shown_by_unit_and_said_to_be_shares_or_none(tmp_path):
    rows = [event("u", 0, place, "c", "d", 0.5) for place in (1, 2)]
    said = said_by(rows, tmp_path, "weights")
    assert [text for text in said if "score" in text] == [
        "d / target 0, taken, score 0.75 item",
        "d / target 0, taken, score 0.75 cate",
    ]
    assert "attention weight, without softmax no share of anything" in said
    joint = [row | {"attention_weight_cate": 0.25, "weights_are_shares": True} for row in rows]
    said = said_by(joint, tmp_path, "weights")
    assert [text for text in said if "score" in text] == ["d / target 0, taken, score 0.75"]
    assert "attention weight, a share of 1" in said


def test_equal_rows_are_equal_pictures_whatever_was_drawn_before(drawn, tmp_path):
    def pictures(folder, *changes):
        joint = {"attention_weight_cate": 0.25, "attention_weight_item": 0.25}
        rows = [event("u", 0, place, "c", "d", each, **joint) for place, each in enumerate(changes)]
        (tmp_path / folder).mkdir()
        return {
            name: (png.read_bytes(), png.with_suffix(".svg").read_bytes())
            for name, png in drawn(rows, tmp_path / folder).items()
        }

    one = pictures("one", 0.5, -0.25)
    # The changes have other colours, another range, and other numbers at their scale. The picture
    # of weights has nothing of them.
    different = pictures("different", 12_345.0, -98_765.0)
    assert different["weights"] == one["weights"]
    assert different["changes"] != one["changes"]
    assert pictures("equal", 0.5, -0.25) == one


def test_model_without_attention_has_no_picture_of_weights():
    rows = [event("u", 0, 1, "c", "d", 0.5) | dict.fromkeys(WEIGHTS)]
    assert [name for name, _ in attention_pictures._figures(rows)] == ["changes", "categories"]


def test_cell_of_two_categories_is_the_mean_change(tmp_path):
    rows = [
        event("u", 0, 1, "a", "a", 0.5),
        event("u", 0, 2, "a", "a", 1.0),
        event("v", 1, 1, "a", None, -0.25),
    ]
    said = said_by(rows, tmp_path, "categories")
    assert {"+0.75", "-0.25"} <= set(said)
    assert {"a", "unknown", "cate_id of the event", "cate_id of the candidate"} <= set(said)


def test_items_without_attributes_have_no_picture_of_categories(tmp_path):
    rows = [event("u", 0, 1, "c", "d", 0.5)]
    for row in rows:
        for name in ("hist_cate_id", "target_cate_id", "attention_weight_cate"):
            del row[name]
    assert [name for name, _ in attention_pictures._figures(rows)] == ["changes", "weights"]
    assert "item 1" in said_by(rows, tmp_path, "changes")


def test_users_whose_answers_hang_on_their_history_are_shown_with_their_latest_events(tmp_path):
    rows = [
        event(user, 0, place, "c", "d", (-1) ** place * user)
        for user in range(1, 8)
        for place in range(1, 26)
    ]
    said = said_by(rows, tmp_path, "changes")
    shown = [text for text in said if text.startswith("user")]
    assert [title.split(":")[0] for title in shown] == ["user 7", "user 6", "user 5", "user 4"]
    assert shown[0].endswith("2024-03-24, the latest 20 of 25")


def test_any_id_can_be_drawn(drawn, tmp_path):
    names = ["$x^2$_", "<b>&\x1b[2J\n", "日本語", "x" * 99]  # as many users as are shown
    rows = [
        event(name, 0, 1, name, name, 0.0, hist_item_id=name, target_item_id=name) for name in names
    ]
    for png in drawn(rows, tmp_path).values():
        assert all(len(text) < 80 for text in texts(png))
    shown = [attention_pictures._short(name) for name in names]
    assert set(shown) <= set(texts(tmp_path / "categories.png"))
    assert all(f"{each} / {each}" in texts(tmp_path / "changes.png") for each in shown)


def test_empty_table_gives_no_picture(con, tmp_path):
    con.register("one_row", pa.Table.from_pylist([event("u", 0, 1, "c", "d", 0.5)]))
    con.execute("create table attention_weights as from one_row where false")
    con.unregister("one_row")
    assert draw(con, tmp_path) == {}


def test_all_changes_zero_are_drawn(drawn, tmp_path):
    rows = [event("u", 0, 1, "c", "d", 0.0)]
    assert np.isclose(rows[0]["log_odds_change"], 0)
    assert "+0.00" in said_by(rows, tmp_path, "categories")
