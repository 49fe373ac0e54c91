"""Run the invariants of ``sql/checks``: one file each, which returns the offending rows.

The head of a file names the asset it guards, what a finding means and why it matters, and what to
do about it. No rows is a pass. An ``error`` stops the materialization before it is committed; a
``warn`` is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, cast

import duckdb

from din_core.engines.engine import DUCKDB, Engine
from din_core.escaping import printable
from din_core.store import sql_files
from din_core.tables.lineage import head_of
from din_core.tables.template_context import TemplateContext

Severity = Literal["error", "warn"]

_EXAMPLES = 5
# Characters of a value in a line for a terminal; the metadata has all of them.
_SHOWN = 60
# A user is checked where its hash falls into the sample; see `sql/macros/checked_users.jinja`.
_ALL_USERS = 1


@dataclass(frozen=True)
class CheckSpec:
    """What the head of a check's file says.

    Attributes:
        name: File name without ``.sql``.
        asset: The asset it guards.
        severity: ``error`` stops the run, ``warn`` is shown.
        description: Why it matters.
        what_to_do: What somebody does about a finding.
        max_users: Where there are more users, about so many of them are checked; None checks all.
    """

    name: str
    asset: str
    severity: Severity
    description: str
    what_to_do: str
    max_users: int | None = None


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    Attributes:
        name: Name of the check.
        asset: The asset it guards.
        severity: ``error`` or ``warn``.
        passed: Whether no row offends.
        failing_rows: How many rows offend.
        examples: The first of them, column name to value.
        description: Why it matters.
        what_to_do: What somebody does about a finding.
    """

    name: str
    asset: str
    severity: Severity
    passed: bool
    failing_rows: int
    examples: list[dict[str, Any]]
    description: str
    what_to_do: str

    def finding(self) -> str:
        """Say in one line, fit for a terminal, what was found and what to do about it.

        Empty where the check passed. Names and values of the log are spelt out and shortened.
        """
        if self.passed:
            return ""
        rows = "1 finding" if self.failing_rows == 1 else f"{self.failing_rows:,} findings"
        first = self.examples[0].items() if self.examples else ()
        shown = ", ".join(f"{printable(name)}={_short(value)}" for name, value in first)
        example = f", for example {shown}" if shown else ""
        return f"{self.name}: {rows}{example}. {self.description} What to do: {self.what_to_do}"


def _short(value: object) -> str:
    text = printable(str(value) if isinstance(value, (int, float, Decimal)) else repr(value))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def spec(name: str) -> CheckSpec:
    """Read the head of a check's file.

    Args:
        name: Name of the check.

    Raises:
        SqlFileError: There is no such check, or its head lacks the asset or the severity.
    """
    return _spec_of(sql_files.path_of(name))


def _spec_of(path: Path) -> CheckSpec:
    head = head_of(path)
    fields = head.fields
    if fields.get("severity") not in {"error", "warn"} or "asset" not in fields:
        raise sql_files.SqlFileError(
            f"{path.name}: the head needs '-- asset: <asset>' and '-- severity: error' or 'warn', "
            f"it has {dict(fields)}"
        )
    if not head.what_to_do:
        raise sql_files.SqlFileError(
            f"{path.name}: the head says what is wrong and not what to do about it; end it with "
            "'-- what_to_do: <advice>'"
        )
    return CheckSpec(
        name=path.stem,
        asset=fields["asset"],
        severity=cast("Severity", fields["severity"]),
        description=head.prose,
        what_to_do=head.what_to_do,
        max_users=int(fields["users"]) if "users" in fields else None,
    )


def all_checks() -> list[CheckSpec]:
    """List every check, by name."""
    return [_spec_of(path) for path in sorted((sql_files.SQL_ROOT / "checks").glob("*.sql"))]


def checks_of(asset: str) -> list[CheckSpec]:
    """List the checks that guard an asset, by name.

    Args:
        asset: Asset key, which is the table's name.
    """
    return [check for check in all_checks() if check.asset == asset]


def run_check(
    con: duckdb.DuckDBPyConnection,
    name: str,
    context: TemplateContext | None = None,
    *,
    one_user_in: int | None = None,
    engine: Engine = DUCKDB,
) -> CheckResult:
    """Run one check on the tables as this connection sees them.

    Args:
        con: The connection; an uncommitted table is seen inside its own transaction.
        name: Name of the check.
        context: From :func:`din_core.tables.sequences.template_context`; None for a check whose
            template takes nothing.
        one_user_in: An expensive check looks at one user in so many; by default at about as many
            as its head says.
        engine: What runs it.

    Returns:
        The count of offending rows and the first of them.
    """
    check = spec(name)
    if one_user_in is None:
        one_user_in = _one_user_in(con, check.max_users)
    variables = context.variables() if context else {}
    query = engine.render(name, one_user_in=one_user_in, **variables)
    counted = engine.query(con, f"select count(*) from ({query}\n) as findings")
    failing_rows = int(counted.rows[0][0])
    examples: list[dict[str, Any]] = []
    if failing_rows:
        found = engine.query(con, f"select * from ({query}\n) as findings limit {_EXAMPLES}")
        examples = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    return CheckResult(
        name=check.name,
        asset=check.asset,
        severity=check.severity,
        passed=failing_rows == 0,
        failing_rows=failing_rows,
        examples=examples,
        description=check.description,
        what_to_do=check.what_to_do,
    )


def _one_user_in(con: duckdb.DuckDBPyConnection, max_users: int | None) -> int:
    """Thin the users so that about ``max_users`` of them are checked."""
    if max_users is None:
        return _ALL_USERS
    n_users = int(con.execute("select count(*) from users").fetchall()[0][0])
    return max(_ALL_USERS, n_users // max_users)
