"""Healthy tables of small logs, and for each check what breaks them, so that it has to find it."""

from din_core import store
from din_core.config import SequenceConfig, SourceConfig
from din_core.tables import sequences

SOURCE = SourceConfig(path="", item_attribute_cols=("cate_id", "brand"))
CONFIG = SequenceConfig(max_history=3)


def build(con, *, labelled=False, rows_a_moment=1, **changes):
    """Twenty users, each with 2 to 8 events; 30 items in 3 categories of 2 brands."""
    con.execute(
        f"""
        create table interactions as
        select
            user_number + 100 as user_id,
            (user_number * 7 + place * 11) % 30 as item_id,
            (user_number * 7 + place * 11) % 30 % 3 as cate_id,
            'brand ' || (user_number * 7 + place * 11) % 30 % 2 as brand,
            place % 3 % 2 as label,
            1000 * user_number + place // {rows_a_moment} as time,
            'log.csv' as file,
            row_number() over (order by user_number, place) as line
        from range(20) as users (user_number), range(8) as places (place)
        where place < 2 + user_number % 7
        """
    )
    if not labelled:
        con.execute("alter table interactions drop column label")
    sampled = {} if labelled else {"negatives_per_positive": 2}
    config = SequenceConfig(**{"max_history": 3, **sampled, **changes})
    sequences.build(con, SOURCE, config)
    con.execute(
        "create view model_scores as select user_idx, position, k, cast(0.5 as float) as score "
        "from sample_bounds"
    )
    store.create_table(con, "test_predictions", max_history=config.max_history)
    con.execute("drop view model_scores")
    con.execute(
        """
        create view event_explanations as
        select
            user_idx, position, k,
            unnest(range(history_start, history_end + 1)) as history_position,
            0.5e0 as score, 0.4e0 as score_without, 0e0 as log_odds, -4e-1 as log_odds_without,
            true as weights_are_shares,
            1 / (history_end - history_start + 1) as attention_weight_item,
            attention_weight_item as attention_weight_cate,
            attention_weight_item as attention_weight_brand
        from sample_bounds
        where split = 'test'
        """
    )
    context = sequences.template_context(con, SOURCE, config)
    store.create_table(con, "attention_weights", **context.variables())
    con.execute("drop view event_explanations")
    return context


def break_tables(con, sabotage):
    """Change a table by a statement, or a view by a column that is computed otherwise."""
    if isinstance(sabotage, str):
        con.execute(sabotage)
        return
    view, expression = sabotage
    con.execute(f"create table honest as from {view}")
    con.execute(f"drop view {view}")
    con.execute(f"create view {view} as select * replace ({expression}) from honest")


SABOTAGE = {
    "users_dense": "update users set user_idx = 40 where user_idx = 3",
    "known_ids_enough_interactions": (
        "update known_ids set in_log = false where vocabulary = 'user' and idx = 3"
    ),
    "known_ids_dense": "update known_ids set idx = 3 where vocabulary = 'item' and idx = 4",
    "items_dense": "update items set item_id = 5 where item_id = 6",
    "attributes_dense": "update attributes set value_idx = 3 where value_idx = 2",
    "events_in_order": "update events set time = 0 where user_idx = 5 and position = 4",
    "events_complete": "insert into events select * from events where user_idx = 5 limit 1",
    "test_predictions_complete": "delete from test_predictions where user_idx = 5 and k = 1",
    "test_predictions_probabilities": (
        "update test_predictions set score = 'NaN' where user_idx = 5"
    ),
    "attention_weights_complete": (
        "delete from attention_weights where user_id = 105 and history_position = 5"
    ),
    "attention_weights_finite": (
        "update attention_weights set log_odds_change = 'NaN' where user_id = 105"
    ),
    "attention_weights_shares": (
        "update attention_weights set attention_weight_brand = 0.1 where user_id = 105"
    ),
    "sequences_complete": "update user_sequences set cates = cates[2:] where user_idx = 7",
    "negatives_not_interacted": """
        update negatives set item_idx = (
            select item_idx from events where user_idx = 2 and position = 1
        ) where user_idx = 2 and position = 2 and k = 2
    """,
    "negatives_complete": "delete from negatives where user_idx = 2 and position = 2 and k = 1",
    "samples_no_leak": ("sample_bounds", "'train' as split"),
    "samples_every_split": (
        "sample_bounds",
        "case when user_idx = 6 and split = 'val' then 'train' else split end as split",
    ),
    "samples_history_earlier": (
        "encoded_samples",
        "list_append(hist_item_idx, target_item_idx) as hist_item_idx",
    ),
    "samples_equal_framed_window": (
        "encoded_samples",
        "list_reverse(hist_cate_idx) as hist_cate_idx",
    ),
}


def build_lists(con):
    """Three users, each with five lists of four rows, of which the middle two are clicked."""
    con.execute(
        """
        create table interactions as
        select
            user_id,
            4 * moment + place as item_id,
            place % 2 as cate_id,
            'brand' as brand,
            cast(place in (1, 2) as integer) as label,
            moment as time,
            'log.csv' as file,
            100 * user_id + 4 * moment + place as line
        from
            range(3) as users (user_id), range(5) as moments (moment), range(4) as places (place)
        """
    )
    sequences.build(con, SOURCE, CONFIG)
    return sequences.template_context(con, SOURCE, CONFIG)


LEAKS_WITHIN_A_MOMENT = {
    "a positive sees the positive before it in its list": (
        "update events set history_end = position - 1",
        {"samples_history_earlier", "samples_equal_framed_window"},
    ),
    "a negative sees a positive of its list": (
        "update negatives set position = negatives.position + 1, k = k + 50",
        {"samples_history_earlier", "samples_equal_framed_window"},
    ),
    "one row of each list is in another split": (
        ("sample_bounds", "case when k = 2 then 'train' else split end as split"),
        {"samples_no_leak"},
    ),
    "validation begins with test": (
        "update user_sequences set moment_before_last = last_moment",
        {"samples_no_leak", "samples_every_split"},
    ),
}
