"""The job of the monthly review: collects its facts, sends them where alerts go, and shows them in the UI.

What a review says is in reports/review.py; when it is made, in schedules.py.
"""

import platform
from zoneinfo import ZoneInfo

import dagster as dg

from breadthflow_pipelines import sessions
from breadthflow_pipelines.model.datasets import REVIEW_JOB
from breadthflow_pipelines.observability import packages
from breadthflow_pipelines.observability.redaction import Redactor
from breadthflow_pipelines.orchestration.automation import alert_messages
from breadthflow_pipelines.orchestration.hosting.instance import shipped_file
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.reports.review import (
    SILENT_FOR,
    Review,
    figures,
    headline,
    markdown,
    next_command,
    plain,
    text,
)
from breadthflow_pipelines.warehouse import review_listing, server_listing

LOCK = "uv.lock"


@dg.op
def send_monthly_review(context: dg.OpExecutionContext) -> None:
    """The review of now, sent to BREADTHFLOW_ALERT_URLS and shown as metadata of this run."""
    market = Market()
    review, redact = collect(market), Redactor(market.settings.secrets)
    alert = alert_messages.monthly_review(context.run, headline(review), plain(review), next_command(review))
    sent = alert_messages.alerter(context.instance, market.settings, alert_messages.DIGESTS).send(alert)
    said = {"headline": redact(headline(review)), "sent": sent, **figures(review)}
    context.add_output_metadata({**said, "review": dg.MetadataValue.md(redact(markdown(review)))})


def review_job() -> dg.JobDefinition:
    """The job; it writes nothing that an asset has, and waits for no other run."""

    @dg.job(name=REVIEW_JOB, description="Say how old the packages are, and how the lists of members are kept.")
    def job() -> None:
        send_monthly_review()

    return job


def as_text(market: Market) -> str:
    """The review as it would be sent now. Sends nothing."""
    return Redactor(market.settings.secrets)(text(collect(market)))


def collect(market: Market) -> Review:
    """The facts as they are now."""
    store = market.store
    day = sessions.present().astimezone(ZoneInfo(market.calendar.timezone)).date()
    return Review(
        day=day,
        python=platform.python_version(),
        server=server_listing.version(store),
        packages=packages.installed(shipped_file(LOCK)),
        universes=review_listing.universes(store, day),
        silent=review_listing.silent_members(store, SILENT_FOR),
        outsiders=review_listing.outsiders(store, [*market.settings.index_shares.values()]),
    )
