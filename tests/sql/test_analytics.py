"""The analysts' views and the questions of docs/analysts.md, on a log to be counted by hand.

The log is labelled, so that its negatives are known as well: `IMPRESSIONS`, `CATES` and `SCORES`
are everything that the expectations are counted from.
"""

import math
import re
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest

from din_core import metrics, store
from din_core.config import SequenceConfig, SourceConfig
from din_core.evaluation import metrics_table
from din_core.evaluation.comparisons import Comparison
from din_core.evaluation.intervals import Interval
from din_core.evaluation.judgement import Evaluation, Figure
from din_core.store import ledger
from din_core.store.query_relations import parsed
from din_core.tables import analytics, column_lineage, sequences
from tests.sql.analysts_tables import AT, create_figures, create_interactions, rows_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "analysts.md"
QUESTIONS = DOCUMENT.with_name("questions.sql")
QUESTION = re.compile(r"^### (\d+)\. .*?^```sql\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```sql\n(.*?)^```", re.MULTILINE | re.DOTALL)

CATES = {"i1": "c1", "i2": "c1", "i3": "c2", "i4": "c2", "i5": "c3"}
# user, item, time, label
IMPRESSIONS = [
    ("u1", "i1", 1, 1),
    ("u1", "i1", 2, 1),
    ("u1", "i2", 2, 1),
    ("u1", "i4", 4, 0),
    ("u1", "i3", 4, 1),
    ("u2", "i1", 1, 1),
    ("u2", "i3", 2, 1),
    ("u2", "i5", 3, 0),
    ("u2", "i4", 3, 1),
    ("u3", "i3", 4, 1),
    ("u3", "i1", 5, 1),
    ("u3", "i5", 6, 1),
    ("u3", "i1", 6, 0),
]
# user, position, k: score. Their targets: i3, i4 | i4, i5 | i5, i1.
SCORES = {
    (1, 4, 0): 0.6,
    (1, 4, 1): 0.5,
    (2, 3, 0): 0.9,
    (2, 3, 1): 0.2,
    (3, 3, 0): 0.3,
    (3, 3, 1): 0.4,
}

ANSWERS = {
    1: [
        (1, "i1", "c1", 4, 3, 0.4),
        (2, "i3", "c2", 3, 3, 0.7),
        (3, "i2", "c1", 1, 1, 0.8),
        (4, "i4", "c2", 1, 1, 0.9),
        (5, "i5", "c3", 1, 1, 1.0),
    ],
    2: [
        ("u1", 4, 3, 2, AT[1], AT[4]),
        ("u2", 3, 3, 2, AT[1], AT[3]),
        ("u3", 3, 3, 3, AT[4], AT[6]),
    ],
    # Seen: the positive of u2 (c2 after i3) and the negative of u3 (c1 after i1).
    3: [
        (0, False, 2, 2 / 3, 0.35),
        (0, True, 1, 1 / 3, 0.4),
        (1, False, 2, 2 / 3, 0.45),
        (1, True, 1, 1 / 3, 0.9),
    ],
    # Of nine pairs, seven are in order: 0.3 is below 0.5 and 0.4.
    4: [("1 to 4", 6, 3, 0.7778), ("all", 6, 3, 0.7778)],
    # Training sees i1 of u1 and of u2 (the second one of u1 is validation), and i3 of u3.
    5: [(3, 2, 2 / 3)],
    6: [(10, 1, 0.1, 1 / 3)],
    7: [(7, 1, 1 / 7)],
    8: [(7, 4, 4 / 7)],
    9: [(0, 3, 2 / 3, 0.0), (1, 3, 1 / 3, 0.0)],
    10: [
        (1, 1, 0.2, 0.0, 0.2),
        (2, 1, 0.3, 1.0, -0.7),
        (3, 1, 0.4, 0.0, 0.4),
        (4, 1, 0.5, 0.0, 0.5),
        (5, 1, 0.6, 1.0, -0.4),
        (6, 1, 0.9, 1.0, -0.1),
    ],
}


BESIDE = Comparison("popularity", "auc", Interval(0.1, -0.1, 0.3), 3)


def create_predictions(con):
    scores = [(*key, score) for key, score in SCORES.items()]
    con.register(
        "model_scores",
        pa.table(
            dict(
                zip(("user_idx", "position", "k", "score"), zip(*scores, strict=True), strict=True)
            )
        ),
    )
    store.create_table(con, "test_predictions")
    con.unregister("model_scores")
    create_figures(con, base_rate=0.1)


def create_attention_weights(con, context, category="cate"):
    """Every test sample explained: an event changes the log-odds by a tenth of its position."""
    con.execute(
        f"""
        create table event_explanations as
        select
            user_idx, position, k,
            unnest(range(history_start, history_end + 1)) as history_position,
            0.5 as score, 0.4 as score_without, 0.0 as log_odds,
            -0.1 * history_position as log_odds_without,
            false as weights_are_shares,
            2.0 as attention_weight_item, 2.0 as attention_weight_{category}
        from sample_bounds
        where split = 'test'
        """
    )
    store.create_table(con, "attention_weights", **context.variables())
    con.execute("drop table event_explanations")


def create_ablation(con):
    """Two seeds of a base and of a variant, and one of a variant with other test samples."""
    columns = (
        "variant", "seed", "val_auc", "test_auc", "test_gauc", "test_logloss", "auc_difference",
        "auc_difference_se", "n_test_samples", "epochs", "best_epoch", "seconds", "options",
    )  # fmt: skip
    rest = (8, 2, 1, 4.0, "{}")
    trials = [
        ("base", 1, 0.70, 0.60, 0.5, 0.6, 0.0, 0.0, *rest),
        ("base", 2, 0.72, 0.64, 0.5, 0.6, 0.0, 0.0, *rest),
        ("wide", 1, 0.80, 0.63, 0.5, 0.6, 0.03, 0.004, *rest),
        ("wide", 2, 0.80, 0.65, 0.5, 0.6, 0.01, 0.004, *rest),
        ("temporal", 1, 0.50, 0.50, 0.5, 0.7, None, None, *rest),
    ]
    listed = dict(zip(columns, map(list, zip(*trials, strict=True)), strict=True))
    con.register("ablation_trials", pa.table(listed))
    store.create_table(con, "ablation")
    con.unregister("ablation_trials")


def publish(folder, category):
    """Make the file analysts open, of the log above, its category in a column of some name."""
    source, choices = SourceConfig(path="", item_attribute_cols=(category,)), SequenceConfig()
    with store.connect(folder / "pipeline.duckdb", threads=1) as con:
        create_interactions(
            con,
            ("user_id", "item_id", "time", category, "label"),
            [(user, item, time, CATES[item], label) for user, item, time, label in IMPRESSIONS],
        )
        sequences.build(con, source, choices, in_ids=True)
        con.execute(
            "create table rejected_rows as select * from (values "
            "('x.csv', 9, 'empty time', 'u1,i1,'), ('x.csv', 3, 'empty time', 'u2,i1,'), "
            "('y.csv', 2, 'empty user_id', ',i1,5')) as listed (file, line, reason, raw)"
        )
        con.execute("create table source_files as select 'x.csv' as file, 1 as load")
        create_predictions(con)
        create_ablation(con)
        context = sequences.template_context(con, source, choices)
        create_attention_weights(con, context, category.removesuffix("_id"))
        with store.transaction(con):
            made = analytics.create_views(con, context)
            column_lineage.write(con, context, source)
            ledger.record(
                con,
                ledger.Entry(
                    asset="users", data_version="v", code_version="c", options={}, inputs={}
                ),
            )
            store.describe_all(con)
        assert made == list(analytics.inputs())
    store.publish(folder / "pipeline.duckdb", folder / "warehouse.duckdb")
    return folder / "warehouse.duckdb"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    file = publish(tmp_path_factory.mktemp("analysts"), "cate_id")
    with store.connect(file, read_only=True, threads=1) as con:
        yield con


def test_document_asks_ten_questions():
    asked = [int(number) for number, _ in QUESTION.findall(DOCUMENT.read_text(encoding="utf-8"))]
    assert asked == list(range(1, 11)) == list(ANSWERS)


@pytest.mark.parametrize("number", ANSWERS)
def test_question_has_the_answer_counted_by_hand(published, number):
    query = dict(QUESTION.findall(DOCUMENT.read_text(encoding="utf-8")))[str(number)]
    found = rows_of(published, query)
    assert len(found) == len(ANSWERS[number])
    for found_row, expected_row in zip(found, ANSWERS[number], strict=True):
        assert list(found_row) == [
            pytest.approx(value) if isinstance(value, float) else value for value in expected_row
        ]


def test_every_block_of_the_document_answers_with_rows(published):
    blocks = BLOCK.findall(DOCUMENT.read_text(encoding="utf-8"))
    assert len(blocks) == 18
    assert [block for block in blocks if not rows_of(published, block)] == []


def test_categories_that_drive_each_other_are_counted_by_hand(published):
    blocks = BLOCK.findall(DOCUMENT.read_text(encoding="utf-8"))
    # u1 saw c1, c1, c1 before both of its c2; u2 saw c1, c2 before c2 and c3; u3 c2, c1 before
    # c3 and c1.
    assert rows_of(published, blocks[-1]) == [
        ("c1", "c1", 1, pytest.approx(0.2)),
        ("c2", "c2", 1, pytest.approx(0.2)),
        ("c1", "c2", 7, pytest.approx(1.3 / 7)),
        ("c1", "c3", 2, pytest.approx(0.15)),
        ("c2", "c3", 2, pytest.approx(0.15)),
        ("c2", "c1", 1, pytest.approx(0.1)),
    ]


def test_explained_events_are_in_ids_with_their_times(published):
    assert rows_of(
        published,
        "select history_position, label, target_item_id, target_cate_id, hist_item_id, "
        "hist_cate_id, hist_time from attention_weights where user_id = 'u2' and k = 0",
    ) == [(1, 1, "i4", "c2", "i1", "c1", AT[1]), (2, 1, "i4", "c2", "i3", "c2", AT[2])]


def test_samples_are_in_ids_of_the_source(published):
    found = rows_of(
        published,
        "select label, user_id, target_item_id, target_cate_id, hist_item_id, hist_cate_id, "
        "history_length, time from samples where split = 'test' order by user_id, label",
    )
    assert found == [
        (0, "u1", "i4", "c2", ["i1", "i1", "i2"], ["c1", "c1", "c1"], 3, AT[4]),
        (1, "u1", "i3", "c2", ["i1", "i1", "i2"], ["c1", "c1", "c1"], 3, AT[4]),
        (0, "u2", "i5", "c3", ["i1", "i3"], ["c1", "c2"], 2, AT[3]),
        (1, "u2", "i4", "c2", ["i1", "i3"], ["c1", "c2"], 2, AT[3]),
        (0, "u3", "i1", "c1", ["i3", "i1"], ["c2", "c1"], 2, AT[6]),
        (1, "u3", "i5", "c3", ["i3", "i1"], ["c2", "c1"], 2, AT[6]),
    ]


def test_summaries_count_splits_lengths_categories_and_rejects(published):
    assert rows_of(published, "from split_summary order by split") == [
        ("test", 6, 3, 0.5, 3, 4, AT[3], AT[6], pytest.approx(14 / 6)),
        # Both events of u1 at second 2 are the moment before the last.
        ("val", 4, 4, 1.0, 3, 3, AT[2], AT[5], 1.0),
    ]
    assert rows_of(published, "from history_lengths") == [
        ("test", 2, 4, 2 / 3),
        ("test", 3, 2, 1 / 3),
        ("val", 1, 4, 1.0),
    ]
    assert rows_of(published, "from cate_mix") == [
        ("c1", 2, 5, 3, 0.5),
        ("c2", 2, 4, 3, 0.4),
        ("c3", 1, 1, 1, 0.1),
    ]
    assert rows_of(published, "from rejected_summary") == [
        ("empty time", 2, 1, "x.csv", 3, "u2,i1,"),
        ("empty user_id", 1, 1, "y.csv", 2, ",i1,5"),
    ]


def test_figures_of_the_current_model_stand_apart_from_those_of_others(published):
    assert rows_of(published, "from current_metrics") == [("auc", 0.75, 0.5, 1.0, 6)]
    assert rows_of(published, "from metrics_by_slice") == [
        ("category_seen", "no", 4, 0.25, 0.0, 0.5, 0.5, None, None)
    ]


def test_predictions_hold_the_probability_of_a_click_where_the_base_rate_is_known(published):
    # Trained 1:1 and one in ten clicked: odds are divided by 9.
    found = rows_of(published, "select score, click_probability from predictions")
    assert [probability for _, probability in found] == [
        pytest.approx(score / 9 / (score / 9 + 1 - score)) for score, _ in found
    ]
    assert len(found) == 6


def test_auc_in_sql_is_that_of_the_library_with_ties(con):
    labels = [1, 0, 1, 0, 0, 1, 0, 1, 1, 0, 0, 1]
    scores = [0.5, 0.5, 0.5, 0.1, 0.9, 0.9, 0.2, 0.2, 0.7, 0.5, 0.3, 0.1]
    lengths = [1, 2, 3, 4, 4, 4, 5, 9, 9, 5, 50, 50]
    rows = pa.table({"label": labels, "score": scores, "history_length": lengths})
    con.register("test_predictions", rows)
    store.create_table(con, "prediction_quality")
    found = dict(rows_of(con, "select history, auc from prediction_quality"))
    assert found == {
        "1 to 4": pytest.approx(metrics.auc(rows["label"][:6], rows["score"][:6])),
        "5 to 9": pytest.approx(metrics.auc(rows["label"][6:10], rows["score"][6:10])),
        "50 or more": 0.0,
        "all": pytest.approx(metrics.auc(rows["label"], rows["score"])),
    }


def test_ablation_summary_takes_in_users_and_seeds(published):
    found = published.sql("from ablation_summary").to_arrow_table().to_pylist()
    assert [row["variant"] for row in found] == ["wide", "base", "temporal"]
    wide, base, temporal = found
    assert wide["difference"] == pytest.approx(0.02)
    # Seeds: variance 0.0002, over two; users: 0.004 squared.
    half = 1.96 * math.sqrt(0.0001 + 0.000016)
    assert [wide["difference_low"], wide["difference_high"]] == pytest.approx(
        [0.02 - half, 0.02 + half]
    )
    assert (base["n_seeds"], base["difference"]) == (2, 0.0)
    assert base["test_auc_sd"] == pytest.approx(math.sqrt(0.0008))
    nothing = ("test_auc_sd", "difference", "difference_low", "difference_high")
    assert [temporal[name] for name in nothing] == [None] * 4


def test_every_published_relation_and_column_is_described(published):
    silent = rows_of(
        published,
        "select table_name, column_name from duckdb_columns() where not internal "
        "and coalesce(comment, '') = '' "
        "union all select table_name, '' from duckdb_tables() "
        "where not internal and coalesce(comment, '') = '' "
        "union all select view_name, '' from duckdb_views() "
        "where not internal and coalesce(comment, '') = ''",
    )
    assert silent == []
    assert {"ledger", "metrics", "samples", *analytics.inputs()} <= {
        name for (name,) in rows_of(published, "select distinct table_name from duckdb_columns()")
    }


def test_views_for_analysts_hold_ids_and_no_index(published):
    columns = rows_of(
        published, "select table_name, column_name from duckdb_columns() where not internal"
    )
    for_people = {"samples", "attention_weights", *analytics.inputs()}
    assert [each for each in columns if each[0] in for_people and each[1].endswith("_idx")] == []


def test_file_of_the_questions_asks_what_the_document_asks(published):
    titled = re.findall(
        r"^### (\d+\. .*?)$.*?^```sql\n(.*?)^```", DOCUMENT.read_text("utf-8"), re.M | re.S
    )
    asked = re.findall(r"^-- (\d+\. .*?)$(.*?);$", QUESTIONS.read_text("utf-8"), re.M | re.S)
    assert [(title, query.strip()) for title, query in asked] == [
        (title, query.strip()) for title, query in titled
    ]
    statements = published.extract_statements(QUESTIONS.read_text("utf-8"))
    answers = [len(published.execute(each).fetchall()) for each in statements]
    assert answers == [len(each) for each in ANSWERS.values()]


# `genre` asks for less: the script has one name of it, of `brand_id` two.
@pytest.mark.parametrize(
    "category", [pytest.param("genre", marks=pytest.mark.thorough), "brand_id"]
)
def test_questions_are_asked_of_a_log_whose_category_has_another_name(tmp_path, category):
    name = category.removesuffix("_id")
    told = (
        DOCUMENT.read_text("utf-8")
        .replace("genre", name)
        .replace(f"cate_id/{name}/", f"cate_id/{category}/")
    )
    [script] = re.findall(r"^\$ sed '(.*)' docs/questions.sql >", told, re.MULTILINE)
    asked = subprocess.run(
        ["sed", script, QUESTIONS], capture_output=True, text=True, check=True
    ).stdout
    file = publish(tmp_path, category)
    with store.connect(file, read_only=True, threads=1) as con:
        answers = [con.execute(each).fetchall() for each in con.extract_statements(asked)]
    assert [len(each) for each in answers] == [len(each) for each in ANSWERS.values()]
    assert answers[0] == ANSWERS[1]


def test_answers_of_several_rows_are_in_an_order_that_is_asked_for(published):
    for block in BLOCK.findall(DOCUMENT.read_text(encoding="utf-8")):
        if len(rows_of(published, block)) > 1:
            [statement] = parsed(published, block)
            kinds = [each["type"] for each in statement["node"]["modifiers"]]
            assert "ORDER_MODIFIER" in kinds, block


def test_figures_say_when_on_which_log_and_whether_they_are_current(con):
    def judge(model, source):
        result = Evaluation((Figure("auc", Interval(0.5), 2),), (BESIDE,), n_samples=2, n_users=1)
        metrics_table.write_metrics(con, model, "test", result, source=source)

    judge("m1", "one.csv")
    judge("m2", "two.csv")
    asked = "select model_version, source, is_current, evaluated_at is null from {} order by 1"
    for table in ("metrics", "comparisons"):
        assert rows_of(con, asked.format(table)) == [
            ("m1", "one.csv", False, False), ("m2", "two.csv", True, False),
        ]  # fmt: skip
    times = dict(rows_of(con, "select model_version, evaluated_at from metrics"))
    assert times["m1"] < times["m2"]
    judge("m1", "one.csv")  # judged again: it is the latest one
    assert rows_of(con, asked.format("metrics")) == [
        ("m1", "one.csv", True, False), ("m2", "two.csv", False, False),
    ]  # fmt: skip
