"""Commands about backups of the store: made, put back, and the key that they are encrypted for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from breadthflow_pipelines.cli.app import database_app
from breadthflow_pipelines.cli.display import err, out
from breadthflow_pipelines.cli.service import database_upgrade
from breadthflow_pipelines.cli.store import current_settings, existing_store
from breadthflow_pipelines.errors import RequestError

if TYPE_CHECKING:
    from breadthflow_pipelines.settings import Settings


@database_app.command("backup")
def backup(
    folder: Annotated[
        str | None, typer.Argument(help="Where it goes; BREADTHFLOW_BACKUP_FOLDER without it.", show_default=False)
    ] = None,
    keep: Annotated[
        int | None, typer.Option(min=1, help="Then remove all but that many of the newest there.", show_default=False)
    ] = None,
) -> None:
    """Copy the market's database and Dagster's into a new directory, and read the copy again to its end.

    Example: breadthflow db backup /mnt/backups --keep 7
    """
    from breadthflow_pipelines.warehouse.backups import back_up, key_of, targets
    from breadthflow_pipelines.warehouse.presence import unfinished_runs

    settings = current_settings()
    where = settings.backup_folder if folder is None else folder and Path(folder).absolute()
    if not where:  # an empty folder is a variable that is not set; as a path it would be the working directory
        raise RequestError("Say where the backup goes: breadthflow db backup FOLDER, on another disk than the store.")
    key = key_of(settings)
    existing_store()  # a backup has the tables of this version
    urls = targets(settings)
    if unfinished_runs(urls["dagster"]):
        err.print("A run is under way: the backup has what it committed so far, and the next run finishes it.")
    made = back_up(urls, where, key, keep)
    how = "encrypted" if made.encrypted else "not encrypted"
    rows = sum(dump.rows for dump in made.dumps.values())
    out.print(f"{made.path}: {rows:,} rows in {made.size / 1e6:,.1f} MB, {how}, read to its end.", soft_wrap=True)


@database_app.command("restore")
def restore(
    path: Annotated[Path, typer.Argument(help="The directory of a backup.")],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where there are rows; they are kept under another name.")
    ] = False,
) -> None:
    """Put a backup back, once every row of it has been compared; a store that has rows is kept.

    Example: breadthflow db restore /mnt/backups/breadthflow-20260105T020000Z
    """
    from breadthflow_pipelines.warehouse import restoring
    from breadthflow_pipelines.warehouse.backups import key_of, read, targets
    from breadthflow_pipelines.warehouse.carrying_over import CarriedOver

    settings = current_settings()
    backup = read(path.absolute())
    key = key_of(settings)
    urls = targets(settings)
    _refuse_runs(settings, urls["dagster"])
    for restored in restoring.restore(backup, urls, key, replace=replace):
        out.print(f'Database "{restored.name}": {restored.rows:,} rows, equal to those of {backup.made_at}.')
        if restored.kept_as:
            out.print(f'What was there is now in "{restored.kept_as}"; drop it when it is not needed.', soft_wrap=True)
        if (carried := restored.carried_over) != CarriedOver():
            out.print(f"As it was there, revoked tokens: {carried.tokens}, erased names: {carried.names}.")
    out.print(
        f"Tokens revoked and names erased since {backup.made_at} are back, unless a store that was kept knew of them: "
        "breadthflow token list shows the ones, breadthflow privacy erase NAME takes out the others.",
        soft_wrap=True,
    )
    if settings.database_url is None:
        database_upgrade()  # a home that was made again has no roles, and the API asks for them
        out.print("Next: breadthflow run")
    else:
        out.print("Next: breadthflow db upgrade, which grants roles their rights again; then breadthflow run")


@database_app.command("backup-key")
def backup_key(file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")]) -> None:
    """Write a new key for BREADTHFLOW_BACKUP_KEY. Whoever loses it loses the backups.

    Example: breadthflow db backup-key ~/breadthflow-backup.key
    """
    from breadthflow_pipelines.warehouse.sealing import new_key

    public = new_key(file.absolute())
    out.print(f"{file.absolute()} holds a new key ({public}). Keep a copy away from the backups.", soft_wrap=True)


def _refuse_runs(settings: "Settings", dagster: str) -> None:
    """Raise if a run is under way; those whose process is gone are ended first."""
    from breadthflow_pipelines.warehouse.presence import unfinished_runs

    if not unfinished_runs(dagster):
        return
    from breadthflow_pipelines.orchestration.hosting.instance import dagster_instance
    from breadthflow_pipelines.orchestration.hosting.liveness import end_dead_runs

    with dagster_instance(settings) as instance:
        end_dead_runs(instance)
    if unfinished_runs(dagster):
        raise RequestError("A run is under way. Wait for it, or terminate it in the UI, then restore again.")
