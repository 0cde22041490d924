"""The records of rules, for universes and for their members, as commands list them.

By rows, not frames, so that a command starts in a fraction of a second.
"""

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.vocabulary import COMBINED, VARIATIONS, WHOLE
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


SYMBOL_ACCURACY = (
    *("universe", "horizon", "rule", "action", "grouped_by", "bin", "signals", "sessions", "hit_rate", "base_rate"),
    *("lift", "lift_error", "relative", "relative_error", "confidence", "brier", "brier_base", "skill"),
    *("windows", "p", "p_family", "verdict", "reason"),
)


def symbol_accuracy(database: Database, universe: str, rule: str | None, horizon: int | None) -> list[Row]:
    """How good the signals of a universe's members have been, by every rule (or one), at every horizon (or one).

    Raises:
        RequestError: none of them was followed yet, or there is no such rule; says which there are.
    """
    standing.check_universe(database, universe)
    rules = [
        row["rule"]
        for row in rows_of(
            database,
            "SELECT rule FROM symbol_accuracy WHERE universe = %s GROUP BY rule ORDER BY rule <> %s, rule",
            (universe, COMBINED),
        )
    ]
    if not rules:
        raise RequestError(
            standing.why_held(database, universe, "symbol_calibration")
            or f"No signal of a member of {universe} has been followed to its end yet: the rules look back over months "
            "of bars, and published counts have no members. breadthflow run adds up what there is."
        )
    if rule is not None and rule not in rules:
        raise RequestError(f"No rule of single members is called {rule}; there are: {', '.join(rules)}.")
    where, values = conditions({"universe": universe, "rule": rule}, None, None)
    query = (
        f"SELECT {', '.join(SYMBOL_ACCURACY)} FROM symbol_accuracy WHERE {where} "
        "AND horizon = coalesce(%s, horizon) ORDER BY horizon, rule, action, grouped_by, bin"
    )
    return marked(database, rows_of(database, query, [*values, horizon]))
