"""The records of rules as a command lists them. By rows, not frames, so that it starts in a fraction of a second."""

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.vocabulary import VARIATIONS, WHOLE
from breadthflow_pipelines.warehouse import standing
from breadthflow_pipelines.warehouse.database import Database, Row, rows_of
from breadthflow_pipelines.warehouse.sql import conditions
from breadthflow_pipelines.warehouse.universe_listing import marked

ACCURACY = (
    *("rule", "universe", "action", "horizon", "era", "events", "episodes", "effective_n"),
    *("hit_rate", "base_rate", "lift", "lift_low", "lift_high", "detectable"),
    *("p_rotation", "p_matched", "p_family", "p_holm", "verdict", "reason"),
    *("mean", "base_mean", "median", "base_median", "p10", "p90", "drawdown", "base_drawdown"),
    *(f"kept_{variation}" for variation in VARIATIONS),
    *("hit_rate_from_open", "base_rate_from_open", "mean_from_open"),
    *("p_mean", "base_matched", "eligible", "open", "left_out", "first_session", "last_session"),
    *("family", "family_members", "basis"),
)


def stability(database: Database) -> list[Row]:
    """By universe and what was otherwise: how many rules, their events, the share of these that stays, the least one.

    universe, variation, rules, events, kept, least.
    """
    rows = rows_of(
        database,
        "SELECT universe, variation, count(*) AS rules, sum(events) AS events, "
        "sum(kept * events) / sum(events) AS kept, min(kept) AS least "
        "FROM signal_stability GROUP BY universe, variation ORDER BY universe, variation",
    )
    return marked(database, rows)


def accuracy(database: Database, universe: str, rule: str | None, horizon: int | None) -> list[Row]:
    """The records of a universe's rules (or of one), in every era, at every horizon (or one).

    Raises:
        RequestError: nothing was judged yet.
    """
    standing.check_universe(database, universe)
    where, values = conditions({"universe": universe, "rule": rule}, None, None)
    query = (
        f"SELECT {', '.join(ACCURACY)} FROM signal_accuracy WHERE {where} AND horizon = coalesce(%s, horizon) "
        f"ORDER BY rule, action, horizon, era <> '{WHOLE}', first_session, era"
    )
    rows = rows_of(database, query, [*values, horizon])
    if not rows:
        raise RequestError(standing.why_nothing(database, universe, "market_signals"))
    return marked(database, rows)
