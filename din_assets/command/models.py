"""``din models``: the models that were judged, one beside another, and which of them are pinned."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from din_assets.command.subcommand import Commands
from din_core.errors import WrongRequestError
from din_core.escaping import printable

if TYPE_CHECKING:
    import duckdb

    from din_assets.command.published_models import Models
    from din_assets.runs.resources import StoreResource
    from din_core.evaluation.intervals import Interval
    from din_core.serving.publication.history import ModelVersion

_SHORT = 12


def add_parser(commands: Commands) -> None:
    """Add the command to those of ``din``."""
    parser = commands.add_parser(
        "models",
        help="list the models that were judged, compare two, pin one",
        description="List the models that were judged, the latest first. With one version, say all "
        "of it; with two, say in what they differ. A version may be written as its beginning.",
    )
    parser.add_argument("version", metavar="VERSION", nargs="*", help="one or two versions")
    pin = parser.add_mutually_exclusive_group()
    pin.add_argument("--pin", metavar="VERSION", help="let din prune leave this model")
    pin.add_argument("--unpin", metavar="VERSION", help="let din prune remove it again")
    parser.add_argument("--json", action="store_true", help="answer in JSON")


def run(arguments: argparse.Namespace) -> int:
    """Answer.

    Raises:
        WrongRequestError: There are no models yet, or no such version.
    """
    from din_assets.command import published_models
    from din_core.serving.publication import rollback

    wanted: list[str] = arguments.version
    to_pin: str | None = arguments.pin or arguments.unpin
    if len(wanted) > 2 or (wanted and to_pin) or (to_pin and arguments.json):
        raise WrongRequestError(
            "din models takes one or two versions, or --pin or --unpin with one and nothing else"
        )
    if to_pin:
        print(_pin(to_pin, pinned=arguments.pin is not None))
        return 0
    models = published_models.read()
    chosen = [rollback.find(models.versions, version) for version in wanted]
    if len(chosen) == 2:
        answer = _comparison(models, chosen[0], chosen[1])
        lines = _compared(answer)
    elif chosen:
        answer = _described(models, chosen[0])
        lines = [f"{name}: {_text(value)}" for name, value in answer.items()]
    else:
        answer = [_described(models, each) for each in reversed(models.versions)]
        lines = _listed(models)
    if arguments.json:
        print(json.dumps(answer, ensure_ascii=False, default=str))
    else:
        print("\n".join(lines))
    return 0


def _pin(version: str, *, pinned: bool) -> str:
    from din_assets.command import published_models
    from din_core.serving.publication import rollback

    said: list[str] = []

    def pin(
        con: "duckdb.DuckDBPyConnection", _: "StoreResource", versions: "tuple[ModelVersion, ...]"
    ) -> None:
        of = rollback.find(versions, version)
        is_new = rollback.pin(con, of, pinned=pinned)
        word = "pinned" if pinned else "not pinned"
        said.append(f"model {of.model_version[:_SHORT]} is {word}{'' if is_new else ' already'}.")

    published_models.decide(f"din models --{'' if pinned else 'un'}pin {version}", pin)
    return said[0]


def _described(models: "Models", of: "ModelVersion") -> dict[str, Any]:
    """All that is known of a model; JSON types but for its time."""
    folder = models.folder(of)
    return {
        **vars(of),
        "metrics": {name: vars(each) for name, each in of.metrics.items()},
        "auc_difference": vars(of.auc_difference),
        "published": of.bundle_version == models.served,
        "pinned": of.bundle_version in models.pinned,
        "bundle": str(folder) if folder.is_dir() else None,
    }


def _listed(models: "Models") -> list[str]:
    head = ("model", "bundle", "judged (UTC)", "test AUC", "log", "")
    rows = [head] + [
        (
            each.model_version[:_SHORT],
            each.bundle_version[:_SHORT],
            f"{each.judged_at:%Y-%m-%d %H:%M}",
            _figure(each.metrics.get("auc")),
            printable(each.source),
            ", ".join(models.state(each)),
        )
        for each in reversed(models.versions)
    ]
    return _columns(rows)


def _comparison(models: "Models", one: "ModelVersion", other: "ModelVersion") -> dict[str, Any]:
    """What two models differ in, by name the values of both."""
    both = one, other
    flat = [
        {
            f"{asset}.{name}": value
            for asset, of in each.options.items()
            for name, value in of.items()
        }
        for each in both
    ]
    figures = [{name: vars(each) for name, each in of.metrics.items()} for of in both]
    paired, why_not = _paired(models, one, other)
    return {
        "models": [_named(models, each) for each in both],
        "options": _different(*flat),
        "data": _different(one.data_versions, other.data_versions),
        "code": _different(one.code_versions, other.code_versions),
        "libraries": _different(one.libraries, other.libraries),
        "metrics": {
            name: [each.get(name) for each in figures]
            for name in sorted({*figures[0], *figures[1]})
        },
        "paired_auc_difference": paired,
        "not_paired": why_not,
    }


def _named(models: "Models", of: "ModelVersion") -> dict[str, Any]:
    return {
        "model_version": of.model_version,
        "bundle_version": of.bundle_version,
        "judged_at": of.judged_at,
        "source": of.source,
        "state": models.state(of),
    }


def _paired(
    models: "Models", one: "ModelVersion", other: "ModelVersion"
) -> tuple[dict[str, Any] | None, str | None]:
    """Ask both bundles about the present test rows; where that cannot be, say why."""
    from din_assets.command import published_models
    from din_core import store
    from din_core.errors import DinError
    from din_core.serving.publication import comparison

    folders = models.folder(one), models.folder(other)
    if gone := [folder.name[:_SHORT] for folder in folders if not folder.is_dir()]:
        return None, f"bundle {' and '.join(gone)} was removed"
    try:
        with store.connect(published_models.published_file(), read_only=True) as con:
            found = comparison.of_two(con, *folders)
    except DinError as error:
        return None, str(error)
    return {**vars(found.difference), "n_samples": found.n_samples, "is": found.sentence()}, None


def _different(one: Any, other: Any) -> dict[str, list[Any]]:
    return {
        name: [one.get(name), other.get(name)]
        for name in sorted({*one, *other})
        if one.get(name) != other.get(name)
    }


def _compared(answer: dict[str, Any]) -> list[str]:
    one, other = answer["models"]
    rows: list[tuple[str, ...]] = [
        ("", one["model_version"][:_SHORT], other["model_version"][:_SHORT])
    ]
    rows += [
        ("bundle", one["bundle_version"][:_SHORT], other["bundle_version"][:_SHORT]),
        (
            "judged (UTC)",
            f"{one['judged_at']:%Y-%m-%d %H:%M}",
            f"{other['judged_at']:%Y-%m-%d %H:%M}",
        ),
        ("log", printable(one["source"]), printable(other["source"])),
        ("state", ", ".join(one["state"]), ", ".join(other["state"])),
    ]
    for part in ("options", "libraries"):
        rows += [(name, *map(_text, values)) for name, values in answer[part].items()]
    rows += [
        (f"data of {name}", *((each or "")[:_SHORT] for each in values))
        for name, values in answer["data"].items()
    ]
    rows += [(name, *map(_shown, values)) for name, values in answer["metrics"].items()]
    lines = _columns(rows)
    if "samples" in answer["data"]:
        lines.append("Mind: their figures are of different samples.")
    if answer["code"]:
        lines.append(f"Made by other code: {', '.join(answer['code'])}.")
    paired = answer["paired_auc_difference"]
    lines.append(
        f"The first less the second: {paired['is']}."
        if paired
        else f"Not compared on the same test rows: {answer['not_paired']}."
    )
    return lines


def _columns(rows: "list[tuple[str, ...]]") -> list[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _figure(interval: "Interval | None") -> str:
    return "" if interval is None else _shown(vars(interval))


def _shown(figure: dict[str, Any] | None) -> str:
    if figure is None or figure["value"] is None:
        return ""
    if figure["low"] is None or figure["high"] is None:
        return f"{figure['value']:.4f}"
    return f"{figure['value']:.4f} ± {(figure['high'] - figure['low']) / 2:.4f}"


def _text(value: Any) -> str:
    return printable(value if isinstance(value, str) else json.dumps(value, default=str))
