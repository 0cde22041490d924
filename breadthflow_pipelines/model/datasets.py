"""What assets, jobs and the check by the clock are called, for everybody who speaks of them. Imports nothing."""

DAILY_JOB = "bring_up_to_date"
PUBLISHED_JOB = "import_published_counts"
CHECKS_JOB = "run_checks"
MARKET_ASSETS = (
    "securities",
    "universe_members",
    "bars",
    "quarantined_bars",
    "breadth_counts",
    "breadth_indicators",
    "market_signals",
    "price_indicators",
    "symbol_signals",
)
DAILY_ASSETS = (*MARKET_ASSETS, "exchange_breadth")
MONTHLY_ASSETS = ("bars", "quarantined_bars", "breadth_counts", "price_indicators", "symbol_signals")
PUBLISHED_ASSETS = ("exchange_breadth", "breadth_indicators", "market_signals")
# Those that hold sessions and always have the last one: quarantine has none on a good day.
WATCHED = tuple(name for name in MARKET_ASSETS if name not in ("securities", "universe_members", "quarantined_bars"))
LATE_CHECK = "last_session_in"  # of each of those; judged by the clock
