"""Small builds of all tables, for the checks to look at."""

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
