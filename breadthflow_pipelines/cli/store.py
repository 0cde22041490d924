"""The settings and the store of a command, imported when it runs: --help needs neither. Decides nothing."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from breadthflow_pipelines.settings import Settings
    from breadthflow_pipelines.warehouse.database import Database


def current_settings() -> "Settings":
    """What the user chose.

    Raises:
        RequestError: a setting has a value that cannot be used.
    """
    from breadthflow_pipelines.settings import get_settings

    return get_settings()


def existing_store() -> "Database":
    """The store, for whoever only reads: one that nobody has made yet is not made either.

    Raises:
        RequestError: there is none in the home, or a setting has a value that cannot be used.
    """
    from breadthflow_pipelines.warehouse.database import existing_database

    return existing_database(current_settings())
