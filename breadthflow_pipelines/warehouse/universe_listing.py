"""Which universes there are: made of bars, and of companies that do not exist. By rows, for commands and for runs."""

from breadthflow_pipelines.warehouse.database import Database, Row, rows_of


def made_of_bars(database: Database) -> list[str]:
    """The universes that are made of bars; published counts have universes too."""
    return [row["universe"] for row in rows_of(database, "SELECT DISTINCT universe FROM universe_members ORDER BY 1")]


def published(database: Database) -> list[str]:
    """The exchanges of which there are published counts; each is a universe."""
    return [row["exchange"] for row in rows_of(database, "SELECT DISTINCT exchange FROM exchange_breadth ORDER BY 1")]


def synthetic_universes(database: Database) -> set[str]:
    """The universes that have members which do not exist."""
    query = "SELECT DISTINCT universe FROM universe_members JOIN securities USING (security_id) WHERE synthetic"
    return {row["universe"] for row in rows_of(database, query, [])}


def open_universes(database: Database, *, synthetic: bool) -> list[Row]:
    """universe, members: how many invented, or real, companies are still in, of each universe that has any."""
    return rows_of(
        database,
        "SELECT universe, count(*) AS members FROM universe_members JOIN securities USING (security_id) "
        "WHERE valid_to IS NULL AND synthetic = %s GROUP BY universe ORDER BY universe",
        [synthetic],
    )


def marked(database: Database, rows: list[Row]) -> list[Row]:
    """Rows of universes, each saying whether it is invented."""
    invented = synthetic_universes(database)
    return [{**row, "synthetic": row["universe"] in invented} for row in rows]
