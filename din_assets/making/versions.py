"""Code versions: the hash of what makes an asset, so that it changes when its result can.

Of the SQL count the tokens, of the Python what the asset's function reaches in ``din_core``, of C++
the tokens, of the template of a page the text, and of libraries the versions of those that compute.
Comments, docstrings and layout do not count, nor does how the asset layer keeps and shows a result:
options are compared for themselves, their defaults included.
"""

import functools
import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import din_core
from din_core import code_versions
from din_core.code_versions import Stamp, stamps
from din_core.config import MODEL_CONFIGS
from din_core.store import sql_files
from din_core.store.computed_once import computed_once
from din_core.tables.lineage import head_of, lineage

_LENGTH = 16
_ROOT = Path(din_core.__file__).parent
_CONNECT = ("din_core.store.database", "connect")
_MODELS = ("din_core.network.models", "BUILDERS")
_RUN_CHECK = ("din_core.tables.checks", "run_check")


def of_asset(
    asset: str,
    function: Callable[..., Any],
    *,
    described: bool = False,
    one_model: bool = False,
) -> str:
    """Return the code version of an asset.

    Args:
        asset: Its name: the files of ``sql/`` that belong to it count, its checks included, since
            a check that became stricter has to be run.
        function: What makes it, undecorated. What it names in its own module counts too.
        described: Whether the descriptions of ``sql/schema.yml`` are part of the result.
        one_model: Whether it is made of the model of ``din_model`` and of no other one, so that
            :func:`with_model` need not look at those.
    """
    _MAKERS[asset] = Maker(function, described, one_model)
    return _version(asset, None)


def with_model(asset: str, model: str | None) -> str:
    """Return the code version of an asset that is made with one of the models.

    Dagster is told one version of an asset, in which all models take part. What is made with one of
    them does not change when another one does, so this is what is kept with a result and compared.

    Args:
        asset: Its name; :func:`of_asset` was asked for it before.
        model: Name of the model; None where none has been chosen yet.
    """
    return _version(asset, model if _MAKERS[asset].one_model else None)


def function_of(asset: str) -> Callable[..., Any]:
    """Return what makes an asset, undecorated.

    Args:
        asset: Its name; :func:`of_asset` was asked for it before.
    """
    return _MAKERS[asset].function


@dataclass(frozen=True)
class Maker:
    """What makes an asset, as :func:`of_asset` takes it."""

    function: Callable[..., Any]
    described: bool
    one_model: bool


_MAKERS: dict[str, Maker] = {}


def _version(asset: str, model: str | None) -> str:
    function, described = _MAKERS[asset].function, _MAKERS[asset].described
    module = Path(function.__code__.co_filename)
    used = MODEL_CONFIGS[model].__name__ if model in MODEL_CONFIGS else ""
    basis = [
        sys.version.encode(),
        f"{asset} {function.__qualname__} {described} {used}".encode(),
        *(
            each.encode()
            for each in code_versions.versions_of(code_versions.COMPUTING, engines=True)
        ),
        module.read_bytes(),
        Path(__file__).read_bytes(),
        _all_sources(stamps(_ROOT, sql_files.SQL_ROOT)),
    ]
    return computed_once(
        f"code-{asset}{used and '-of-'}{used}",
        basis,
        lambda: _of_asset(asset, module, function.__qualname__, described, used),
    )


def _of_asset(asset: str, module: Path, function: str, described: bool, used: str) -> str:
    files = lineage().files_of(asset)
    # How the pipeline's database is opened and how a check is run decide rows and verdicts, too.
    also = [_CONNECT] if files else []
    also += [_RUN_CHECK] if any(file.head.kind == "check" for file in files) else []
    found = code_versions.reached(
        _ROOT, din_core.__name__, module, function, also, {_MODELS: used} if used else {}
    )
    parts = [*_sql_parts(path for file in files for path in file.paths)]
    parts += [f"{name} {code}" for name, code in sorted(found.code.items())]
    for path in sorted(found.files):
        text = path.read_text(encoding="utf-8")
        # Of a page that is filled in, each word is part of the result.
        is_page = path.suffix == ".jinja"
        parts += [path.name, *([text] if is_page else code_versions.native_tokens(text))]
    parts += code_versions.versions_of(found.libraries, engines=bool(files))
    if described:
        described_as = yaml.safe_load((sql_files.SQL_ROOT / "schema.yml").read_text("utf-8"))
        parts.append(json.dumps(described_as, sort_keys=True))  # without comments and layout
    return _digest(parts)


def _sql_parts(paths: Iterable[Path]) -> Iterator[str]:
    """Yield the tokens of files, of what they take macros from, and what their heads say."""
    waiting, seen = sorted(paths), set[Path]()
    while waiting:
        path = waiting.pop(0)
        if path in seen:
            continue
        seen.add(path)
        tokens, others = code_versions.template_tokens(
            sql_files.templates(), path.read_text(encoding="utf-8")
        )
        fields = head_of(path).fields if path.suffix == ".sql" else {}
        yield from (path.name, repr(sorted(fields.items())), *tokens)
        waiting += [sql_files.SQL_ROOT / other for other in others]


@functools.lru_cache(maxsize=4)
def _all_sources(stamped: tuple[Stamp, ...]) -> bytes:
    return _digest(
        f"{path} {hashlib.sha256(Path(path).read_bytes()).hexdigest()}" for path, *_ in stamped
    ).encode()


def _digest(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part.encode()).digest())
    return digest.hexdigest()[:_LENGTH]
