"""Asset checks, made from the files in ``sql/checks``, one file an invariant.

The checks of a table run on the connection that built it, before the commit: a table that breaks an
invariant is never committed, and its asset is not recorded as materialized.
"""

from collections.abc import Callable
from typing import Any

import dagster as dg
import duckdb

from din_core.escaping import markdown_text
from din_core.tables import checks
from din_core.tables.template_context import TemplateContext


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
) -> list[dg.AssetCheckResult]:
    """Run every check of an asset and return what Dagster shows of it.

    Args:
        con: The connection that built the asset's table.
        asset: The asset.
        context: What the table was rendered with; None where its checks take nothing.
        warn: Told of each failed check that does not stop the run. Dagster itself tells of it in
            the UI alone.
    """
    results = [checks.run_check(con, check.name, context) for check in checks.checks_of(asset)]
    for result in results:
        if not result.passed and result.severity == "warn":
            warn(_warning(result))
    return [_as_dagster(result) for result in results]


def _warning(result: checks.CheckResult) -> str:
    """A failed check in one line: what, why it matters, and the first finding."""
    rows = "1 finding" if result.failing_rows == 1 else f"{result.failing_rows:,} findings"
    first = ", ".join(f"{name}={value!r}" for name, value in result.examples[0].items())
    return f"{result.name}: {rows}, for example {first}. {result.description}"


def blocks(result: dg.AssetCheckResult) -> bool:
    """Say whether a result forbids the commit."""
    return not result.passed and result.severity == dg.AssetCheckSeverity.ERROR


def _as_dagster(result: checks.CheckResult) -> dg.AssetCheckResult:
    severity = (
        dg.AssetCheckSeverity.ERROR if result.severity == "error" else dg.AssetCheckSeverity.WARN
    )
    metadata: dict[str, Any] = {"offending_rows": result.failing_rows}
    if result.examples:
        metadata["examples"] = dg.MetadataValue.md(markdown_table(result.examples))
    return dg.AssetCheckResult(
        passed=result.passed,
        asset_key=result.asset,
        check_name=result.name,
        severity=severity,
        metadata=metadata,
        description=result.description,
    )


def markdown_table(rows: list[dict[str, Any]]) -> str:
    """Return rows as a Markdown table, as the Dagster UI shows it; names and values are text."""
    columns = list(rows[0])
    cells = [columns, *([row[column] for column in columns] for row in rows)]
    head, *body = ("| " + " | ".join(map(markdown_text, line)) + " |" for line in cells)
    return "\n".join([head, "|" + "---|" * len(columns), *body])
