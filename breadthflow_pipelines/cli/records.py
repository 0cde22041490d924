"""Commands about people: what was done by whom, and what is stored of a user."""

import datetime as dt
from typing import Annotated

import typer

from breadthflow_pipelines.cli.app import Application, app
from breadthflow_pipelines.cli.display import err, out, write_rows
from breadthflow_pipelines.cli.options import Format, Shape, day_of
from breadthflow_pipelines.cli.store import current_settings, existing_store
from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.reports import tables
from breadthflow_pipelines.reports.bulletin import number
from breadthflow_pipelines.warehouse.database import dagster_url

privacy_app = Application(no_args_is_help=True, help="What is stored of a user, and erasing it.")
app.add_typer(privacy_app, name="privacy")

User = Annotated[str, typer.Argument(help="The user's name as breadthflow audit shows it.")]


@app.command()
def audit(
    since: Annotated[dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD")] = None,
    user: Annotated[str | None, typer.Option(help="Only what this user did, or others in this name.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this, such as launched or released.")] = None,
    shape: Shape = Format.TABLE,
) -> None:
    """Print who launched, released, confirmed, accepted, restored or erased what, when and from where.

    Example: breadthflow audit --since 2026-01-01 --format csv
    """
    from breadthflow_pipelines.model.vocabulary import AUDITED
    from breadthflow_pipelines.warehouse.audit_listing import COLUMNS, audited

    if action is not None and action not in AUDITED:
        raise RequestError(f"There is no action {action}; there are: {', '.join(AUDITED)}.")
    rows = audited(existing_store(), day_of(since), user, action)
    if not rows:
        asked = [since, user, action]
        err.print("No entry matches." if any(option is not None for option in asked) else "Nothing is recorded yet.")
    short = ("done_at", "who", "action", "what", "reason", "via", "host")
    write_rows(rows, COLUMNS, short, shape, "What was done, by whom")


@privacy_app.command()
def export(user: User) -> None:
    """Write every row that names a user to stdout, as JSON.

    Example: breadthflow privacy export alice > alice.json
    """
    import sys

    from breadthflow_pipelines.warehouse.privacy import rows_about

    tables.write_json(rows_about(existing_store(), user), ("table", "row"), sys.stdout)


@privacy_app.command()
def erase(
    user: User,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; it cannot be taken back.")] = False,
) -> None:
    """Put a pseudonym wherever a user's name stands, and revoke the user's tokens; whose it is is kept nowhere.

    Example: breadthflow privacy erase alice --yes
    """
    from breadthflow_pipelines.warehouse import privacy

    if not yes:
        raise RequestError(
            f"Erasing {user} cannot be undone: say --yes; breadthflow privacy export prints the rows first."
        )
    settings = current_settings()
    erased = privacy.erase(existing_store(), user)
    rows, reasons = erased.replaced.rows, erased.replaced.reasons
    out.print(f"{number(rows, 'row')} named {user}; now they name {erased.pseudonym}.")
    if reasons:
        out.print(f"{number(reasons, 'reason')} had the name as a word; the pseudonym stands there, too.")
    if erased.tokens:
        out.print(f"{number(erased.tokens, 'valid token')} of that user revoked.")
    if erased.replaced.login_stays:
        err.print(f"Several users or services act under the database login {user}: as a login the name stays.")
    if erased.subjects:
        err.print(f"The word also occurs in {number(erased.subjects, 'subject')}, such as symbols; they stay.")
    if runs := privacy.tagged_runs(dagster_url(settings), user):
        err.print(f"{runs} runs have a tag with that name, which somebody typed; delete them in the UI.")
