"""Great Expectations, judging one table in the database. Import it where a suite is run: it takes seconds.

It is handed a connection and never an address, so that no password can come into its results, logs or pages. It reports
to nobody: its analytics are off before it is imported.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ["GX_ANALYTICS_ENABLED"] = "false"

import great_expectations as gx
from great_expectations import expectations as gxe
from great_expectations.data_context import EphemeralDataContext  # type: ignore[attr-defined]
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class under a lower-case name
from sqlalchemy.pool import StaticPool

from breadthflow_pipelines.errors import DatabaseError
from breadthflow_pipelines.quality.expectations import Expectation, Suite
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.inspection import Days, OfMonth, Row, first_rows, rows_by_month, staged

ROWS = 10  # failing rows that a result shows


@dataclass(frozen=True)
class Finding:
    """What came of one expectation: observed in a few words, the first rows that break it, how many there are.

    months: month, rows, first and last session of all that break it; None where that is unknown.
    unexpected is None where the expectation is about the table and not about its rows, or could not be judged.
    """

    expectation: Expectation
    passed: bool
    observed: str
    unexpected: int | None = None
    rows: list[Row] = field(default_factory=list)
    months: list[OfMonth] | None = None


def judge(
    database: Database, suite: Suite, days: Days, names: Collection[str], *, docs: Path | None = None
) -> list[Finding]:
    """Judge the expectations of these names on the table's rows of these days; in the order of the suite.

    docs: a directory that keeps the results for ``build_docs``.

    Raises:
        DatabaseError: the database cannot be reached, or went away.
    """
    chosen = [expectation for expectation in suite.expectations if expectation.name in names]
    with staged(database, suite.table, days) as connection:
        context = _context(docs)
        results = _validated(context, connection, suite, chosen)
        if connection.closed:
            raise DatabaseError("The database went away while it was being checked.")
        return [_finding(connection, expectation, results[expectation.name]) for expectation in chosen]


def build_docs(docs: Path) -> Path:
    """Make pages of the results that ``judge`` kept in a directory; returns the page to open."""
    _context(docs).build_data_docs()
    return docs / "index.html"


def _context(docs: Path | None) -> EphemeralDataContext:
    """A context that lives in memory; where results are kept for pages, they lie beside the pages."""
    config = DataContextConfig(store_backend_defaults=InMemoryStoreBackendDefaults(), analytics_enabled=False)
    config.progress_bars = ProgressBarsConfig(globally=False)
    if docs is not None:
        for store in ("expectations_store", "validation_results_store"):
            config.stores[store]["store_backend"] = _kept(docs / ".results" / store)
        config.data_docs_sites = {
            "pages": {
                "class_name": "SiteBuilder",
                "store_backend": _kept(docs),
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            }
        }
    return gx.get_context(mode="ephemeral", project_config=config)


def _kept(directory: Path) -> dict[str, str]:
    return {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(directory)}


def _validated(
    context: EphemeralDataContext, connection: Connection, suite: Suite, chosen: Collection[Expectation]
) -> dict[str, Any]:
    """Great Expectations' results by the name of the expectation."""
    source = context.data_sources.add_postgres(
        "store",
        connection_string="postgresql+psycopg2://nobody@localhost/store",  # for its form; the connection is ours
        kwargs={"creator": lambda: connection, "poolclass": StaticPool},  # type: ignore[call-arg]
    )
    table = source.add_table_asset(suite.table, table_name=f"judged_{suite.table}")
    expected = gx.ExpectationSuite(name=suite.table, expectations=[_expectation(one) for one in chosen])
    definition = gx.ValidationDefinition(
        name=suite.table,
        data=table.add_batch_definition_whole_table("days_judged"),
        suite=context.suites.add_or_update(expected),
    )
    told = {
        "result_format": "SUMMARY",  # COMPLETE would bring every broken row here
        "unexpected_index_column_names": list(suite.key),
        "partial_unexpected_count": ROWS,
    }
    done = context.validation_definitions.add(definition).run(result_format=told)
    return {result["expectation_config"].meta["name"]: result for result in done.results}


def _expectation(expectation: Expectation) -> Any:
    arguments = dict(expectation.arguments)
    if expectation.query is not None:
        # Great Expectations wants its batch named; the queries name the staged views, which are that batch.
        arguments["unexpected_rows_query"] = f"/* {{batch}} */ {expectation.query.strip()}"
    return getattr(gxe, expectation.kind)(
        **arguments,
        description=expectation.about,
        severity="critical" if expectation.severity == "error" else "warning",
        meta={"name": expectation.name, "blocks": expectation.blocks},
    )


def _finding(connection: Connection, expectation: Expectation, result: Any) -> Finding:
    error = _error(result.exception_info)
    if error is not None:
        return Finding(expectation, passed=False, observed=f"could not be judged: {error}")
    found: Mapping[str, Any] = result.result
    passed = bool(result.success)
    if expectation.query is not None:
        unexpected = int(found["observed_value"])
        rows = [] if passed else first_rows(connection, expectation.query, ROWS)
        months = rows_by_month(connection, expectation.query) if rows and "session" in rows[0] else None
        return Finding(expectation, passed, _rows(unexpected), unexpected, rows, months)
    if "unexpected_count" in found:
        unexpected = int(found["unexpected_count"] or 0)
        rows = list(found.get("partial_unexpected_index_list") or [])
        of = int(found["element_count"] or 0)
        return Finding(expectation, passed, f"{unexpected:,} of {of:,} rows", unexpected, rows)
    return Finding(expectation, passed, str(found["observed_value"]))


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number:,} rows"


def _error(info: Mapping[str, Any]) -> str | None:
    """The first line of what kept an expectation from being judged, or None."""
    each = [info] if "raised_exception" in info else list(info.values())
    raised = [one["exception_message"] for one in each if one.get("raised_exception")]
    return str(raised[0]).strip().splitlines()[0] if raised else None
