"""The source: where the interactions come from and what their columns are called."""

from __future__ import annotations

from typing import Literal

from din_core.config.options import config_class, option, required

Quoting = Literal["auto", "minimal", "none"]
TimeUnit = Literal["auto", "s", "ms", "us", "ns"]
Vocabularies = Literal["auto", "keep", "anew"]

# The views for analysts join a vocabulary for each attribute, and the planner's time grows with the
# square of the joins: 0.6 s of processor time at 60, 2.5 s at 120, 17 s at 240.
_MOST_COLUMNS = 128


@config_class
class SourceConfig:
    """Where the interactions come from and what their columns are called."""

    path: str = required(
        "A file, a URL or a glob of delimited text (also gzip, zstd, bz2, xz, lz4) or Parquet."
    )
    user_col: str = option("user_id", "Column of the user id (integer or string).")
    item_col: str = option("item_id", "Column of the item id (integer or string).")
    time_col: str = option(
        "time",
        "Column of the time: numbers since 1970 or ISO 8601, fractions of seconds included.",
    )
    time_unit: TimeUnit = option(
        "auto",
        "Unit of the times that are numbers: 's', 'ms', 'us' or 'ns'; 'auto' recognises it by "
        "their size.",
    )
    item_attribute_cols: tuple[str, ...] = option(
        ("cate_id",),
        "Columns that describe the item; the first plays the category's part. A row may lack them.",
    )
    user_attribute_cols: tuple[str, ...] = option((), "Columns that describe the user, likewise.")
    item_dense_cols: tuple[str, ...] = option(
        (),
        "Numbers that describe the item, such as a price: facts that are decided once from all of "
        "its rows, as attributes are. A row may lack them.",
    )
    user_dense_cols: tuple[str, ...] = option(
        (), "Numbers that describe the user, such as an age, likewise."
    )
    context_dense_cols: tuple[str, ...] = option(
        (),
        "Numbers that belong to the interaction, such as an hour; a sampled negative has those of "
        f"its positive. At most {_MOST_COLUMNS} attributes and numbers together.",
    )
    label_col: str | None = option(
        None,
        "Column that says whether an impression was taken (1 and 0, true and false, or 1 and -1): "
        "the logged negatives are used instead of sampled ones. By default 'label' where the "
        "header has it; with '' no column is.",
    )
    positive_labels: tuple[str, ...] = option(
        (), "Values of `label_col` that mean taken; all others then mean not taken."
    )
    quoting: Quoting = option(
        "auto",
        "Whether a value of a text file that begins with '\"' is a quoted one: 'minimal' (yes, as "
        "RFC 4180), 'none' (no, a quote is a character), or 'auto': yes in comma- and "
        "semicolon-separated files; elsewhere only where the file's beginning shows it.",
    )
    drop_duplicates: bool = option(
        False,
        "Drop rows that equal an earlier one in every column that is read (counted).",
    )

    def contradiction(self) -> str | None:
        """Say whether too many columns are named, one of them twice, or one without a name."""
        described = self.described_columns()
        n_columns = sum(map(len, described.values()))
        if n_columns > _MOST_COLUMNS:
            named = " and ".join(name for name, columns in described.items() if columns)
            return (
                f"{named} name {n_columns} columns, and at most {_MOST_COLUMNS} are read: name "
                "those that tell items or users apart"
            )
        for option_name, columns in described.items():
            if any(not column or "\0" in column for column in columns):
                return (
                    f"{option_name} is {list(columns)!r}: each column needs a name; give it one in "
                    "the file's header, or leave it out"
                )
        roles = {
            "user_col": (self.user_col,),
            "item_col": (self.item_col,),
            "time_col": (self.time_col,),
            "label_col": (self.label_col,) if self.label_col else (),  # '' and None name none
            **described,
        }
        named_by: dict[str, str] = {}
        for role, columns in roles.items():
            for column in columns:
                if before := named_by.get(column.casefold()):
                    both = role if before == role else f"{before} and {role}"
                    return (
                        f"{both} name the column {column!r} twice: a column has one role, leave "
                        "it out of one of them"
                    )
                named_by[column.casefold()] = role
        return None

    def without_effect(self) -> dict[str, str]:
        """Return the values that mean taken where no column says what was taken."""
        if self.label_col != "":
            return {}
        return {
            "positive_labels": "label_col is '', so no column says what was taken: name the "
            "column, or leave positive_labels out"
        }

    def described_columns(self) -> dict[str, tuple[str, ...]]:
        """Return the columns beside user, item, time and label, by the option that names them."""
        return {
            "item_attribute_cols": self.item_attribute_cols,
            "user_attribute_cols": self.user_attribute_cols,
            **self.number_columns(),
        }

    def number_columns(self) -> dict[str, tuple[str, ...]]:
        """Return those of them that hold numbers, likewise."""
        return {
            "item_dense_cols": self.item_dense_cols,
            "user_dense_cols": self.user_dense_cols,
            "context_dense_cols": self.context_dense_cols,
        }


@config_class
class GrowthConfig:
    """What becomes of known ids when a log is read again."""

    vocabularies: Vocabularies = option(
        "auto",
        "Whether ids that are known keep their indices: 'auto' (yes, unless the source is another "
        "log: one of another name that holds no file that was read before, whole or grown), 'keep' "
        "(yes, whatever is read) or 'anew' (no: each reading numbers all ids in their order).",
    )
