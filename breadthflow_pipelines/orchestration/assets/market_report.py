"""A page for each universe, in the store's home: what the signals say today. What is on it: reports/page/."""

from collections.abc import Sequence

import dagster as dg
import polars as pl

from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.asset_definition import own_asset
from breadthflow_pipelines.orchestration.holdings import interest
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.run_figures import PagesWritten
from breadthflow_pipelines.orchestration.ui_metadata import shown
from breadthflow_pipelines.publishing.pages import PageFile, write_page
from breadthflow_pipelines.publishing.places import page_path
from breadthflow_pipelines.reports.page.pictures import pictures
from breadthflow_pipelines.warehouse.contents_listing import universes


@own_asset(
    "market_report",
    code_version="1",
    layer="report",
    kinds={"html"},
    deps=[
        "market_signals",
        "signal_accuracy",
        "backtests",
        dg.AssetDep("symbol_signals", partition_mapping=dg.AllPartitionMapping()),
    ],
)
def market_report(market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """One HTML file for each universe, made whole from the store; a page that would say the same is left as it is."""
    home = market.settings.home
    rates = interest(market.settings)
    due = market.calendar.last_closed()
    made = [write_page(market.store, name, page_path(home, name), due, rates) for name in universes(market.store)]
    advance("market report", 1, f"{len(made)} page{'' if len(made) == 1 else 's'}")
    written = PagesWritten(pages=len(made), pages_changed=sum(page.changed for page in made))
    rows = [
        {
            "universe": page.universe,
            "synthetic": page.synthetic,
            "today": page.said,
            "page": str(page.path),
            "kilobytes": page.size // 1000,
            "written": page.changed,
        }
        for page in made
    ]
    return dg.MaterializeResult(
        metadata={
            **_charts(made),
            **{f"page of {page.universe}": dg.MetadataValue.path(page.path) for page in made},
            "today": shown(pl.DataFrame(rows)),
            **written.to_metadata(),
        }
    )


def _charts(made: Sequence[PageFile]) -> dict[str, dg.MetadataValue]:
    """The charts of the page with the latest session; of several, of a real universe before an invented one."""
    if not made:
        return {}
    newest = max(reversed(made), key=lambda page: (page.facts.now["session"], not page.synthetic))
    return {f"charts of {newest.universe}": dg.MetadataValue.md(pictures(newest.facts))}
