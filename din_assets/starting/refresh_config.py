"""The run configuration: refused if wrong, taken apart by step.

Dagster refuses a wrong option of a step that it runs. It passes over a name that no step has, and
over options of steps that it does not run; and where nothing is run it looks at nothing.
"""

import difflib
import json
import types
from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg
import pydantic

from din_assets.assets import (
    catalogue,
    delivery,
    evaluation,
    explanations,
    ingest,
    publication,
    sequences,
    training,
)
from din_assets.making import artifact_assets
from din_assets.making.run_config import idle_options, refuse_without_effect, typed_options
from din_assets.names import PLAIN, Names
from din_assets.runs import choices, console
from din_assets.runs.resources import StoreResource
from din_assets.starting import config_errors, former_names
from din_core.errors import RefusedOptionsError, WrongRequestError

RunConfig = Mapping[str, Any]

_SECTIONS = ("ops", "resources", "loggers", "execution")


class RunConfigError(WrongRequestError):
    """The run configuration names what there is not, or a value out of its range."""


def check(run_config: RunConfig, job: dg.JobDefinition, names: Names = PLAIN) -> None:
    """Refuse all that a run would refuse, and what it would pass over.

    Args:
        run_config: Run configuration as ``-c`` takes it.
        job: The job that it is for.
        names: What Dagster calls our assets in that job.

    Raises:
        RunConfigError: Something is wrong; the first such thing is named.
    """
    check_names(run_config)
    for step in {each.op.name for each in catalogue.EVIDENCE} & {*(run_config.get("ops") or {})}:
        key = names.key(step).to_user_string()
        raise RunConfigError(
            f"ops: {step} is made by name only, and its options are given there: dagster asset "
            f"materialize --select {key} -m din_assets.evidence -c FILE"
        )
    try:
        dg.validate_run_config(job, names.in_dagster(run_config))
    except dg.DagsterInvalidConfigError as error:
        raise RunConfigError(config_errors.sentence(error)) from error


def check_names(run_config: RunConfig) -> None:
    """Refuse sections, steps and options that there are not, and values that cannot be.

    A step that exists may be named whether or not the run has it.

    Args:
        run_config: Run configuration as ``-c`` takes it.

    Raises:
        RunConfigError: Something is wrong; the first such thing is named.
    """
    run_config = _section("the run configuration", run_config)
    _refuse_unknown("the run configuration: there is no section", run_config, _SECTIONS)
    ops = _section("ops", run_config.get("ops"))
    _refuse_unknown("ops: there is no step", ops, catalogue.STEPS)
    for name, given in ops.items():
        _check_options(f"ops: {name}", given, _config_class(name))
    resources = _section("resources", run_config.get("resources"))
    _refuse_unknown("resources: there is no resource", resources, ["store"], former_names.RESOURCES)
    if "store" in resources:
        _check_options("resources: store", resources["store"], StoreResource)
    _check_loggers(_section("loggers", run_config.get("loggers")))


def check_remembered(asked: choices.Choices) -> None:
    """Refuse what is remembered of the last run where the steps have changed since.

    Raises:
        RunConfigError: A step or an option does not exist any more, or a value is out of its range.
    """
    remembered = {step: {"config": asked.options(step)} for step in asked.remembered_steps()}
    try:
        check_names({"ops": remembered})
    except RunConfigError as error:
        raise RunConfigError(
            f"{asked.place}, which keeps the choices of the last run: {error}; correct it there, "
            "or name the options anew (-c FILE, or din run --defaults)"
        ) from error


def options(op_name: str, run_config: RunConfig) -> dict[str, Any]:
    """Return a step's present options, in the form in which the ledger keeps them."""
    config_class = _config_class(op_name)
    if config_class is None:
        return {}
    config = config_class(**config_of(run_config, "ops", op_name))
    if isinstance(config, ingest.InteractionsConfig):
        return json.loads(json.dumps(ingest.ledger_options(config)))
    return json.loads(json.dumps(config.model_dump()))


def idle_options_of(op_name: str) -> frozenset[str]:
    """Return the options of a step that decide no result: another value makes nothing outdated."""
    config_class = _config_class(op_name)
    return frozenset() if config_class is None else idle_options(config_class)


def config_of(run_config: RunConfig, section: str, name: str) -> dict[str, Any]:
    """Return the options that are given for a step (``ops``) or a resource (``resources``)."""
    given = (run_config.get(section) or {}).get(name) or {}
    return dict(given.get("config") or {})


def for_steps(run_config: RunConfig, op_names: Iterable[str]) -> dict[str, Any]:
    """Return the part of a run configuration that some steps take, each of them spelled out."""
    with_options = [name for name in op_names if _config_class(name) is not None]
    ops = {name: {"config": config_of(run_config, "ops", name)} for name in with_options}
    return {**run_config, "ops": ops}


def config_classes() -> dict[str, type[dg.Config]]:
    """Return the class of the options of each step that has any, by the step's name."""
    return {
        "interactions": ingest.InteractionsConfig,
        **sequences.CONFIG_CLASSES,
        **explanations.CONFIG_CLASSES,
        **evaluation.CONFIG_CLASSES,
        **publication.CONFIG_CLASSES,
        **delivery.CONFIG_CLASSES,
        **artifact_assets.CONFIG_CLASSES,
    }


def _config_class(op_name: str) -> type[dg.Config] | None:
    return config_classes().get(op_name)


def _check_options(where: str, given: Any, config_class: type[pydantic.BaseModel] | None) -> None:
    given = _section(where, given)
    if set(given) - {"config"}:
        raise RunConfigError(f"{where}: its options belong below 'config:'")
    chosen = _section(f"{where}: config", given.get("config"))
    _refuse_unknown_options(where, chosen, config_class)
    if config_class is None:
        return
    try:
        config = config_class(**chosen)
        refuse_without_effect(config)
        if isinstance(config, training.DinModelConfig):
            training.chosen_model(config.model_dump(), typed_options(config))
    except RefusedOptionsError as error:
        raise RunConfigError(f"{where}: {error}") from error
    except pydantic.ValidationError as error:
        raise RunConfigError(f"{where}: {_refusal(error.errors()[0])}") from error


def _refusal(error: Any) -> str:
    """Say what pydantic found: in the library's words where the library refused it."""
    *parents, name = [str(part) for part in error["loc"]] or [""]
    if error["type"] != "value_error":
        return f"{'.'.join([*parents, name])} is {error['input']!r}: {error['msg']}"
    sentence = str(error["ctx"]["error"])
    # The sentence names the option; of values that contradict each other pydantic names the class.
    section = parents if sentence.startswith(f"{name} is ") else [*parents, name]
    return ": ".join([*filter(None, section), sentence])


def _check_loggers(loggers: Mapping[Any, Any]) -> None:
    """Refuse what a run would find out when it is under way: Dagster takes any text for a level."""
    _refuse_unknown("loggers: there is no logger", loggers, ["console"])
    given = _section("loggers: console", loggers.get("console"))
    _refuse_unknown("loggers: console: there is no section", given, ["config"])
    config = _section("loggers: console: config", given.get("config"))
    _refuse_unknown("loggers: console: there is no option", config, ["log_level", "name"])
    try:
        console.refuse_unknown_level(config)
    except console.LogLevelError as error:
        raise RunConfigError(str(error)) from error


def _refuse_unknown_options(
    where: str, chosen: Mapping[Any, Any], config_class: type[pydantic.BaseModel] | None
) -> None:
    """Compare names, also one level down: pydantic drops a name that it does not know."""
    fields = {} if config_class is None else config_class.model_fields
    owners: dict[str, list[str]] = {}
    for step in catalogue.STEPS:
        if (other := _config_class(step)) is not None:
            for name in other.model_fields:
                owners.setdefault(name, []).append(step)
    elsewhere = {
        name: f"{' and '.join(steps)} {'has' if len(steps) == 1 else 'have'} it"
        for name, steps in owners.items()
    }
    former = {name: said for (place, name), said in former_names.OPTIONS.items() if place == where}
    what = f"{where}: there is no option"
    _refuse_unknown(what, chosen, fields, {**elsewhere, **former})
    for name, value in chosen.items():
        kind: Any = fields[name].annotation
        inner = isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)
        if inner and isinstance(value, Mapping):
            _refuse_unknown_options(f"{where}: {name}", value, kind)


def _section(where: str, given: Any) -> Mapping[Any, Any]:
    if given is not None and not isinstance(given, Mapping):
        raise RunConfigError(f"{where}: {given!r} is not a mapping of names to values")
    return given or {}


def _refuse_unknown(
    what: str,
    given: Iterable[Any],
    known: Iterable[str],
    hints: Mapping[str, str] = types.MappingProxyType({}),
) -> None:
    """Refuse a name that is not known, with what is said of it, or else what it is close to."""
    names = list(known)
    for name in given:
        if name not in names:
            close = difflib.get_close_matches(str(name), names, n=1)
            hint = f" (there are {', '.join(names) or 'none'})"
            if name in hints:
                hint = f"; {hints[name]}"
            elif close:
                hint = f"; is '{close[0]}' meant?"
            raise RunConfigError(f"{what} '{name}'{hint}")
