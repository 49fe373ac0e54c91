"""What the tables of ``sql/sequences`` must hold, computed the slow and obvious way.

Plain loops over lists of dictionaries, no windows, no joins, no shared code with ``din_core``.
Negatives are found by writing out the list of what may be drawn and indexing into it.
"""

import math
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal


def build(rows, source, config):
    """Rows of every table, in the tables' order, from ``rows`` of interactions.

    Args:
        rows: Dictionaries with user_id, item_id, time, file, line, attributes, perhaps label.
        source: SourceConfig.
        config: SequenceConfig.
    """
    labelled = any("label" in row for row in rows)
    positives = [row for row in rows if not labelled or row["label"] == 1]
    tables = {}

    vocabularies = {
        column: {
            value: number
            for number, value in enumerate(
                sorted({row[column] for row in rows if row[column] is not None}), start=1
            )
        }
        for column in (*source.item_attribute_cols, *source.user_attribute_cols)
    }
    first = source.item_attribute_cols[:1]
    tables["cates"] = [
        (number, value) for column in first for value, number in vocabularies[column].items()
    ]
    tables["attributes"] = sorted(
        (column, number, str(value))
        for column in (*source.item_attribute_cols, *source.user_attribute_cols)
        for value, number in vocabularies[column].items()
    )

    def winner(key, value, column):
        votes = Counter(
            row[column] for row in rows if row[key] == value and row[column] is not None
        )
        return min(votes, key=lambda candidate: (-votes[candidate], candidate), default=None)

    def decided(key, value, column):
        return vocabularies[column].get(winner(key, value, column), 0)

    def is_kept(user):
        return sum(row["user_id"] == user for row in rows) >= config.min_interactions

    user_ids = sorted({row["user_id"] for row in rows if is_kept(row["user_id"])})
    users = {user: number for number, user in enumerate(user_ids, start=1)}
    user_attributes = {
        number: tuple(decided("user_id", user, column) for column in source.user_attribute_cols)
        for user, number in users.items()
    }
    user_numbers = {
        number: tuple(winner("user_id", user, column) for column in source.user_dense_cols)
        for user, number in users.items()
    }
    tables["users"] = [
        (number, user, True, *user_attributes[number], *user_numbers[number])
        for user, number in users.items()
    ]

    item_ids = sorted({row["item_id"] for row in rows})
    items = {item: number for number, item in enumerate(item_ids, start=1)}
    item_attributes = {
        number: tuple(decided("item_id", item, column) for column in source.item_attribute_cols)
        for item, number in items.items()
    }
    item_numbers = {
        number: tuple(winner("item_id", item, column) for column in source.item_dense_cols)
        for item, number in items.items()
    }
    tables["items"] = [
        (number, item, *item_attributes[number], *item_numbers[number])
        for item, number in items.items()
    ]

    def in_order(some_rows, user):
        mine = [row for row in some_rows if row["user_id"] == user]
        return sorted(mine, key=lambda row: (row["time"], row["file"], row["line"]))

    sequences = {
        number: [(items[row["item_id"]], row["time"]) for row in in_order(positives, user)]
        for user, number in users.items()
    }

    def context(row):
        return tuple(row[column] for column in source.context_dense_cols)

    contexts = {
        number: [context(row) for row in in_order(positives, user)]
        for user, number in users.items()
    }

    # When a user was shown anything, taken or not.
    shown = {
        number: {row["time"] for row in rows if row["user_id"] == user}
        for user, number in users.items()
    }

    def history_end(user, position, time):
        # How many events a row may know of: all before its position, or all before its time.
        if labelled:
            return sum(earlier < time for _, earlier in sequences[user])
        return position - 1

    tables["events"] = [
        (
            user,
            position,
            item,
            *item_attributes[item],
            *contexts[user][position - 1],
            *([history_end(user, position, time)] if labelled else []),
            time,
        )
        for user, sequence in sequences.items()
        for position, (item, time) in enumerate(sequence, start=1)
    ]
    tables["user_sequences"] = [
        (
            user,
            [item for item, _ in sequence],
            *(
                [item_attributes[item][number] for item, _ in sequence]
                for number in range(len(source.item_attribute_cols))
            ),
            *(last_two(shown[user]) if labelled else []),
        )
        for user, sequence in sequences.items()
        if sequence
    ]

    if labelled:
        negatives = logged_negatives(rows, users, items, in_order, sequences, context)
    else:
        negatives = [
            (user, position, *others, contexts[user][position - 1])
            for user, position, *others in sampled_negatives(sequences, item_attributes, config)
        ]
    tables["negatives"] = [
        (user, position, k, item, *item_attributes[item], *(own if labelled else []), time)
        for user, position, k, item, time, own in negatives
    ]

    val_from, test_from = moments(sequences, config)
    examples = [
        (user, position, 0, 1, item, time, contexts[user][position - 1])
        for user, sequence in sequences.items()
        for position, (item, time) in enumerate(sequence, start=1)
        if history_end(user, position, time) >= 1
    ] + [(user, position, k, 0, *others) for user, position, k, *others in negatives]
    id_of_user = {number: user for user, number in users.items()}
    id_of_item = {number: item for item, number in items.items()}

    def value(column, number):
        return {at: known for known, at in vocabularies[column].items()}.get(number)

    def items_values(some_items):
        return [
            [value(column, item_attributes[item][place]) for item in some_items]
            for place, column in enumerate(source.item_attribute_cols)
        ]

    tables["behaviour_sequences"] = [
        (
            user,
            id_of_user[user],
            [id_of_item[item] for item, _ in sequence],
            *items_values([item for item, _ in sequence]),
        )
        for user, sequence in sequences.items()
        if sequence
    ]
    tables["samples"], tables["encoded_samples"], tables["sample_bounds"] = [], [], []
    for user, position, k, label, item, time, own in sorted(examples, key=lambda each: each[:3]):
        numbers = (*item_numbers[item], *user_numbers[user], *own)
        sequence = sequences[user]
        if config.split == "temporal":
            split = "train" if time < val_from else "val" if time < test_from else "test"
        elif labelled:
            still_to_come = {later for later in shown[user] if later > time}
            split = ["test", "val", "train"][min(2, len(still_to_come))]
        elif position >= len(sequence):
            split = "test"
        else:
            split = "val" if position == len(sequence) - 1 else "train"
        end = history_end(user, position, time)
        history = [past for past, _ in sequence[:end]][-config.max_history :]
        targets_and_histories = [item]
        targets_and_histories += item_attributes[item]
        histories = [
            [item_attributes[past][number] for past in history]
            for number in range(len(source.item_attribute_cols))
        ]
        tables["encoded_samples"].append(
            (
                split,
                label,
                user,
                *targets_and_histories,
                history,
                *histories,
                *user_attributes[user],
                *numbers,
                position,
                end,
                time,
            )
        )
        tables["samples"].append(
            (
                split,
                label,
                id_of_user[user],
                id_of_item[item],
                *(known for (known,) in items_values([item])),
                [id_of_item[past] for past in history],
                *items_values(history),
                *map(value, source.user_attribute_cols, user_attributes[user]),
                *numbers,
                len(history),
                position,
                datetime.fromisoformat("1970-01-01")
                + timedelta(microseconds=int(time * 1_000_000)),
            )
        )
        tables["sample_bounds"].append(
            (user, position, k, label, item, split, *own, end - len(history) + 1, end)
        )
    return tables


def last_two(times):
    latest = sorted(times, reverse=True)
    return [latest[0], latest[1] if len(latest) > 1 else None]


def logged_negatives(rows, users, items, in_order, sequences, context):
    found = []
    for user, number in users.items():
        taken = Counter()
        for row in in_order(rows, user):
            position = 1 + sum(earlier < row["time"] for _, earlier in sequences[number])
            if row["label"] == 0 and position >= 2:
                taken[position] += 1
                item, k = items[row["item_id"]], taken[position]
                found.append((number, position, k, item, row["time"], context(row)))
    return found


def sampled_negatives(sequences, item_attributes, config):
    counts = Counter(item for sequence in sequences.values() for item, _ in sequence)
    catalogue = sorted(item_attributes)

    def pool_of(item):
        # What is drawn from beside this item, as if its user had interacted with nothing.
        if config.negative_sampling == "popularity":
            return [other for other in catalogue for _ in range(weight(counts[other]))]
        assert config.negative_sampling == "same_category", "the oracle knows no such draw"
        cate = item_attributes[item][0] if item else 0
        return [other for other in catalogue if cate in (0, item_attributes[other][0])]

    found = []
    for user, sequence in sequences.items():
        interacted = {item for item, _ in sequence}
        free = [item for item in catalogue if item not in interacted]
        for position, (item, time) in enumerate(sequence, start=1):
            if position < 2 or not free:
                continue
            for k in range(1, config.negatives_per_positive + 1):
                if config.negative_sampling == "uniform":
                    chosen = pick(deck(free), config.sampling_seed, user, position, k)
                else:
                    pool = pool_of(item)
                    chosen = pick(pool, config.sampling_seed, user, position, k)
                    if chosen in interacted:
                        pool = [other for other in pool if other not in interacted] or (
                            [other for other in pool_of(None) if other not in interacted]
                        )
                        chosen = pick(pool, config.sampling_seed, user, position, k + 2**29)
                found.append((user, position, k, chosen, time))
    return found


def pick(pool, seed, user, position, k):
    return pool[draw(seed, user, position, k) * len(pool) // 2**32]


def deck(free):
    """The free items in the order of their numbers.

    Item n has number n as far as there are numbers; in the place of one that was interacted with
    stands the next of the free items that are too large to be a number.
    """
    spares = iter([item for item in free if item > len(free)])
    return [item if item in free else next(spares) for item in range(1, len(free) + 1)]


def weight(count):
    return max(1, math.floor(16 * count**0.75 + 0.5))


def draw(seed, user, position, k):
    x = (seed * 668265263 + user * 374761393 + position * 1274126177 + k * 1812433253) % 2**32
    x = (x ^ (x >> 16)) * 0x7FEB352D % 2**32
    x = (x ^ (x >> 15)) * 0x846CA68B % 2**32
    return x ^ (x >> 16)


def moments(sequences, config):
    """First moments of validation and test: as given, or the quantiles of the event times."""
    times = sorted(time for sequence in sequences.values() for _, time in sequence)

    def moment(value):
        if not 0 < value < 1:
            return Decimal(str(value))
        later = [time for done, time in enumerate(times, start=1) if done > value * len(times)]
        return later[0] if later else 0

    return moment(config.val_from), moment(config.test_from)
