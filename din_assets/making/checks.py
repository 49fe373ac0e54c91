"""Asset checks: those of ``sql/checks``, one file an invariant, and how a finding is shown.

The checks of a table run on the connection that built it, before the commit: a table that breaks an
invariant is never committed, and its asset is not recorded as materialized. Whatever finds
something says what is wrong, in how many rows, with examples, and what to do about it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
import duckdb

from din_core.engines.engine import DUCKDB, Engine
from din_core.escaping import markdown_text
from din_core.tables import checks
from din_core.tables.checks import CheckResult
from din_core.tables.template_context import TemplateContext

_SEVERITIES = {"error": dg.AssetCheckSeverity.ERROR, "warn": dg.AssetCheckSeverity.WARN}


def check_specs(asset: str) -> list[dg.AssetCheckSpec]:
    """Return the specification of each check of an asset."""
    return [
        dg.AssetCheckSpec(
            name=check.name,
            asset=asset,
            description=check.description,
            blocking=check.severity == "error",
        )
        for check in checks.checks_of(asset)
    ]


def run_checks(
    con: duckdb.DuckDBPyConnection,
    asset: str,
    context: TemplateContext | None,
    *,
    warn: Callable[[str], object],
    engine: Engine = DUCKDB,
) -> list[CheckResult]:
    """Run every check of an asset.

    Args:
        con: The connection that built the asset's table.
        asset: The asset.
        context: What the table was rendered with; None where its checks take nothing.
        warn: Told of each failed check that does not stop the run. Dagster itself tells of it in
            the UI alone.
        engine: What runs them.
    """
    results = [
        checks.run_check(con, check.name, context, engine=engine)
        for check in checks.checks_of(asset)
    ]
    for result in results:
        if not result.passed and result.severity == "warn":
            warn(result.finding())
    return results


def blocks(result: CheckResult) -> bool:
    """Say whether a result forbids the commit."""
    return not result.passed and result.severity == "error"


def as_dagster(
    result: CheckResult,
    beside: Mapping[str, Any] | None = None,
    *,
    key: dg.AssetKey | None = None,
) -> dg.AssetCheckResult:
    """Return a result as Dagster keeps and shows it.

    Args:
        result: What a check found. Its metadata has ``offending_rows``, and of a failed one
            ``what_to_do`` and the first of the rows as ``examples``, escaped.
        beside: What the page of a failed check shows as well, such as a picture.
        key: The key of the asset, where whoever takes the result looks at it.
    """
    metadata: dict[str, Any] = {"offending_rows": result.failing_rows}
    description = result.description
    if not result.passed:
        description += f" What to do: {result.what_to_do}"
        metadata["what_to_do"] = result.what_to_do
        if result.examples:
            metadata["examples"] = dg.MetadataValue.md(markdown_table(result.examples))
        metadata |= beside or {}
    return dg.AssetCheckResult(
        passed=result.passed,
        asset_key=key or result.asset,
        check_name=result.name,
        severity=_SEVERITIES[result.severity],
        metadata=metadata,
        description=description,
    )


def markdown_table(rows: list[dict[str, Any]]) -> str:
    """Return rows as a Markdown table, as the Dagster UI shows it; names and values are text."""
    columns = list(rows[0])
    cells = [columns, *([row[column] for column in columns] for row in rows)]
    head, *body = ("| " + " | ".join(map(markdown_text, line)) + " |" for line in cells)
    return "\n".join([head, "|" + "---|" * len(columns), *body])
