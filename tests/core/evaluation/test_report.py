"""The report: what it says in words, and that it is a page which loads and runs nothing."""

import dataclasses
import datetime
from html.parser import HTMLParser

import pytest

from din_core.evaluation.report import charts, render, words
from din_core.evaluation.report.contents import Contents
from din_core.metrics import ranking
from din_core.metrics.registry import OF_A_MODEL
from din_core.serving.bundle import model_card
from din_core.store.ledger import Entry

DAY = datetime.datetime(2024, 5, 31, tzinfo=datetime.UTC)
HOSTILE = "<script>alert('1')</script>\"><img src=x onerror=alert(1)> {{ 7 * 7 }} \u202eevil\x1b[2J"
LOADING = {"src", "href", "srcset", "action", "data", "poster", "xlink:href", "formaction"}


def figure(metric, value, low=None, high=None, *, model="now", part=("all", ""), n_samples=200):
    return {
        "model": model, "slice": part[0], "slice_value": part[1], "metric": metric,
        "value": value, "low": low, "high": high, "n_samples": n_samples,
    }  # fmt: skip


def beside(rival, metric, difference, low=None, high=None, version=None):
    return {
        "rival": rival, "rival_version": version, "metric": metric, "difference": difference,
        "low": low, "high": high, "n_users": 1_500,
    }  # fmt: skip


def event(item, change, **changes):
    return {
        "user_id": 5, "target_item_id": 9, "target_value": "shoes", "score": 0.75,
        "hist_item_id": item, "hist_value": "hats", "hist_time": DAY,
        "attention_weight_item": 0.5, "weights_are_shares": False, "score_change": change,
    } | changes  # fmt: skip


def drifted(measure, outcome, value=0.3, about=""):
    return {
        "measure": measure, "about": about, "before": 1.0, "now": 2.0, "value": value,
        "threshold": 0.2, "outcome": outcome,
    }  # fmt: skip


def judged(is_latest, **changes):
    return {
        "is_latest": is_latest, "bundle_version": "b" if is_latest else "earlier",
        "is_served": is_latest, "model_version": "m" if is_latest else "earlier",
        "decision": "published", "reason": "the first one.", "source": "log.csv",
        "judged_at": DAY, "n_users": 9, "value": 0.8, "low": None, "high": None,
    } | changes  # fmt: skip


def contents(**changes):
    made = Entry(
        asset="interactions", data_version="d" * 32, code_version="c" * 16, options={}, inputs={}
    )
    everything = {
        "log": {
            "interactions": 5_000, "rejected": 2, "files": 1, "first_time": 0.0,
            "last_time": 86_400.0 * 366, "users": 1_500, "items": 70, "events": 5_000,
        },
        "rejections": [{"reason": "no time", "n_rows": 2, "file": "log.csv", "line": 7}],
        "splits": [{"split": "test", "samples": 2_000, "positives": 1_000, "users": 1_500}],
        "meaning": {
            "model_version": "m", "score_is": "relative", "trained_rate": 0.5, "base_rate": None,
            "n_samples": 2_000, "n_users": 1_500,
        },
        "figures": [
            figure("auc", 0.8, 0.789, 0.811), figure("popularity_auc", 0.66),
            figure("gauc_users_left_out", 3.0), figure("hr_at_10_all", 0.25, 0.2, 0.3),
            figure("hr_at_5_all", 0.15), figure("something_new", 1.5),
            figure("auc", 0.7, 0.6, 0.8, part=("history_length", "1 to 4")),
        ],
        "comparisons": [beside("popularity", "auc", 0.14, 0.12, 0.16)],
        "models": [judged(True), judged(False, decision="refused", value=0.75)],
        "calibration": [{"tenth": 1, "samples": 9, "mean_score": 0.2, "share_of_positives": 0.3}],
        "explained": [event(3, 0.02), event(4, -0.01)],
        "drift": [drifted("rows", "steady")],
        "history": [
            {"epoch": n, "train_loss": 1 / n, "val_auc": auc, "val_logloss": 0.6, "is_best": False}
            for n, auc in ((1, 0.6), (2, 0.7), (3, 0.65))
        ],
        "attribute": "cate_id",
        "made": {"interactions": made},
        "libraries": ["duckdb 2.0.0"],
    }  # fmt: skip
    return Contents(**{**everything, **changes})


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.text, self._in = [], "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._in.append(tag)

    def handle_endtag(self, tag):
        while self._in and self._in.pop() != tag:
            pass

    def handle_data(self, data):
        if "style" not in self._in:
            self.text += " ".join(data.split()) + "\n"


def require_self_contained(text):
    """Nothing runs, and nothing is loaded from anywhere."""
    page = Page(text)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "iframe", "object", "embed", "link", "base", "form", "img"}
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in LOADING & attributes.keys():
            assert attributes[name].startswith("#"), (tag, attributes)
        if tag == "svg":
            assert attributes["role"] == "img"
            assert attributes["aria-label"]
        assert "http" not in str(attributes.get("style", "")).lower()
    [style] = [text[text.index("<style>") : text.index("</style>")]]
    assert "url(" not in style
    assert "@import" not in style
    policies = [
        attributes["content"]
        for tag, attributes in page.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert [policy.split(";")[0] for policy in policies] == ["default-src 'none'"]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
    assert sorted(links) == sorted(f"#{each}" for each in ids)
    return page


def test_page_loads_nothing_and_runs_nothing():
    page = require_self_contained(render(contents()))
    [viewport] = [
        attributes["content"]
        for _, attributes in page.elements
        if attributes.get("name") == "viewport"
    ]
    assert viewport.startswith("width=device-width")


def test_names_and_ids_of_the_log_are_text_wherever_they_stand():
    made = Entry(
        asset="interactions",
        data_version="d" * 32,
        code_version="c" * 16,
        options={HOSTILE: [HOSTILE]},
        inputs={},
    )
    text = render(
        contents(
            rejections=[{"reason": HOSTILE, "n_rows": 2, "file": HOSTILE, "line": 7}],
            explained=[
                event(HOSTILE, 0.02, user_id=HOSTILE, target_item_id=HOSTILE, target_value=HOSTILE,
                      hist_value=HOSTILE),
            ],
            drift=[drifted("stability_of_attribute", "drifted", about=HOSTILE)],
            attribute=HOSTILE,
            made={"interactions": made},
        )
    )  # fmt: skip
    page = require_self_contained(text)
    assert page.text.count("<script>alert('1')</script>") >= 9
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "{{ 7 * 7 }}" in page.text


def test_equal_contents_are_equal_bytes():
    assert render(contents()) == render(contents())


def test_auc_is_said_in_pairs_with_its_interval_and_what_to_hold_it_against():
    assert words.pairs(figure("auc", 0.8, 0.789, 0.811), figure("", 0.66), 1_500) == (
        "Of 100 pairs of an item that was taken and another candidate, the model puts 80.0 in the "
        "right order (between 78.9 and 81.1 in 95 of 100 draws of the 1,500 users). Chance gets "
        "50, an order by popularity 66.0."
    )
    assert "no AUC" in words.pairs(figure("auc", None), None, 0)


@pytest.mark.parametrize(
    ("metric", "low", "high", "says"),
    [
        ("auc", 0.01, 0.02, "the model is better"),
        ("auc", -0.02, -0.01, "the model is worse"),
        ("logloss", 0.01, 0.02, "the model is worse"),  # lower is better
        ("logloss", -0.02, -0.01, "the model is better"),
        ("auc", -0.01, 0.02, "not told apart by this log"),
        ("auc", None, None, "no interval, so nothing follows"),
    ],
)
def test_what_follows_from_a_difference(metric, low, high, says):
    assert words.conclusion(beside("popularity", metric, 0.0, low, high)) == says


@pytest.mark.parametrize(
    ("metric", "called"),
    [
        ("auc", "AUC"),
        ("hr_at_10_all", "hit rate at 10 among all items"),
        ("ndcg_at_20_sampled", "NDCG at 20 among drawn candidates"),
        ("mrr_all", "MRR among all items"),
        ("something_new", "something new"),
    ],
)
def test_figure_has_a_name_for_a_reader(metric, called):
    assert words.figure_name(metric)[0] == called


@pytest.mark.parametrize("figure", [*OF_A_MODEL, *(f"{each}_all" for each in ranking.by_name([1]))])
def test_every_figure_says_what_it_is_in_the_report_and_in_the_model_card(figure):
    assert words.figure_name(figure)[1], "din_core/evaluation/report/words.py"
    assert model_card.is_described(figure), "din_core/serving/bundle/model_card.py"


def test_reader_is_told_what_weakens_the_figures_and_nothing_where_nothing_does():
    def told(**changes):
        page = Page(render(contents(**changes)))
        assert ("ul", {"class": "notes"}) in page.elements or not changes
        return page.text

    assert ("ul", {"class": "notes"}) not in Page(render(contents())).elements
    few = {**contents().meaning, "n_samples": 99}
    assert "99 test samples are too few" in told(meaning=few)
    lost = {**contents().log, "rejected": 51}  # of 5,051, more than a hundredth
    assert "51 rows of the source could not be used" in told(log=lost)
    assert "drifted from the one before it, in 1 figure" in told(drift=[drifted("rows", "drifted")])
    weak = [beside("popularity", "auc", -0.14, -0.16, -0.12)]
    assert "The model does not beat popularity" in told(comparisons=weak)


def test_rows_that_were_read_are_those_that_are_used_and_those_that_are_not():
    text = Page(render(contents())).text
    assert "rows that were read\n5,002\n" in text.replace("\n\n", "\n")
    read_with = dataclasses.replace(
        contents().made["interactions"], options={"drop_duplicates": True}
    )
    text = Page(render(contents(made={"interactions": read_with}))).text
    assert "rows that were read" not in text
    assert "Rows that equal an earlier one were left out" in text


def test_model_before_is_set_beside_the_current_one():
    figures = [*contents().figures, figure("auc", 0.75, model="before")]
    compared = [*contents().comparisons, beside("previous_model", "auc", 0.05, 0.02, 0.08, "v")]
    text = Page(render(contents(figures=figures, comparisons=compared))).text
    lines = [line for line in text.split("\n") if line]
    at = lines.index("What changed since the model before")
    assert lines[at + 4 : at + 5] == ["Both models answered the same test samples."]
    assert lines[at + 10 : at + 15] == [
        "AUC", "0.7500", "0.8000", "+0.0500 (+0.0200 to +0.0800)", "the model is better",
    ]  # fmt: skip
    assert "No other model has answered the same test samples" in Page(render(contents())).text


def test_what_was_decided_about_the_model_and_those_before_is_told():
    earlier = judged(False, decision="refused", value=0.75, low=0.7, high=0.8, source=HOSTILE)
    page = require_self_contained(render(contents(models=[judged(True), earlier])))
    lines = [line for line in page.text.split("\n") if line]
    at = lines.index("published")
    assert [lines[at - 1], lines[at + 1]] == ["This model was", ": the first one."]
    at = lines.index("2024-05-31 00:00")
    assert lines[at + 1] == "0.7500 (0.7000 to 0.8000)"
    assert lines[at + 3] == "refused"
    assert "The models before" not in Page(render(contents(models=[judged(True)]))).text


def test_model_that_is_not_served_is_told_from_the_one_that_is():
    assert "another model was served" not in Page(render(contents())).text
    back = judged(False, decision="rolled back", is_served=True)
    models = [judged(True, is_served=False), back, judged(False)]
    lines = Page(render(contents(models=models))).text.split("\n")
    assert "When this page was written, another model was served, or none." in lines
    assert [lines.count(each) for each in ("rolled back, served", "published, served")] == [1, 0]


def test_what_there_is_not_is_said():
    text = Page(
        render(
            contents(
                explained=[], history=[], calibration=[], rejections=[], attribute=None,
                drift=[drifted("rows", "no log before", None)],
            )
        )
    ).text  # fmt: skip
    for sentence in (
        "No answer was explained",
        "The epochs of this training were not kept",
        "There is no test sample",
        "This is the first log",
    ):
        assert sentence in text


def test_curve_goes_from_corner_to_corner_of_its_frame():
    drawn = charts.curve([(1, 0.0), (2, 1.0)], alt="up", across="epoch", up="AUC", marked=(2, 1.0))
    # 360 x 200 units with borders of 44 left, 12 right, 12 above and 34 below; a tenth is room.
    height = 200 - 12 - 34
    low, high = 200 - 34 - height * 0.1 / 1.2, 12 + height * 0.1 / 1.2
    assert f'points="44.0,{low:.1f} 348.0,{high:.1f}"' in drawn
    assert f'class="ring" cx="348.0" cy="{high:.1f}"' in drawn
    # One point stands in the middle of both.
    assert 'points="196.0,89.0"' in charts.curve([(1, 0.5)], alt="", across="", up="")


def test_bar_of_a_change_begins_in_the_middle_and_says_its_side():
    assert 'class="for" x="50.0" y="1" width="25.0"' in charts.change(0.1, 0.2, "")
    assert 'class="against" x="0.0" y="1" width="50.0"' in charts.change(-0.2, 0.2, "")
    assert 'width="0.0"' in charts.change(0.0, 0.0, "")
    assert 'aria-label="&lt;&quot;"' in charts.change(0.1, 0.2, '<"')


def test_time_that_no_calendar_has_is_a_number():
    assert words.date(0.0) == "1970-01-01"
    assert words.date(1e18) == "1000000000000000000 s"
    assert words.date(None) == "unknown"
