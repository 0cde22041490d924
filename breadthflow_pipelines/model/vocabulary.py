"""Words that several rooms write and read: columns, values of columns, keys of evidence. Imports nothing else of ours.

What only one room speaks of belongs there. What assets are called is in datasets.py, what is counted in counts.py,
which checks hold what in gates.py.
"""

from enum import StrEnum
from typing import Literal, get_args

# A row of breadth: counts, indicators and signals all have one for each of these.
KEY = ("universe", "segment", "session")
MEMBER_KEY = ("universe", "session", "security_id")  # a row of one member
ALL = "ALL"  # the segment that holds every member of a universe; the others are its sectors

# A bar.
PRICES = ("open", "high", "low", "close")
BAR_VALUES = (*PRICES, "volume", "close_adjusted")
# A price per share. Eight reverse splits in a row have lifted a share's past to 5e15, coins are traded at 1e-10; what
# lies beyond could not be squared, or divided by its opposite, and stay a number.
LEAST_PRICE, MOST_PRICE = 1e-15, 1e24
MOST_VOLUME = 1e15  # shares of one company in one session: more than all exchanges trade in a decade
# An adjusted close in closes: dividends of a century leave a thousandth, splits that a plain close does not know a
# hundred-thousandfold.
MOST_ADJUSTED = 1e6
ROUNDING = 1e-4  # vendors round each price by itself: 0.01% outside the bar is not a fault

# Windows, in a security's own bars.
AVERAGES = (20, 50, 100, 150, 200)  # the moving averages that "per cent above" is published for
YEAR = 252  # the look-back of new highs and new lows
MONTH = 20  # the look-back of short-term highs and lows

# What a signal says, and whether a session may still change.
Action = Literal["buy", "sell", "hold"]
ACTIONS: tuple[Action, ...] = get_args(Action)
BUY, SELL, HOLD = ACTIONS
State = Literal["provisional", "final"]
STATES: tuple[State, ...] = get_args(State)
PROVISIONAL, FINAL = STATES

# A market signal, as it is computed, stored and printed.
MARKET_SIGNAL = (
    "signal_id",
    "universe",
    "segment",
    "session",
    "rule",
    "action",
    "confidence",
    "value",
    "threshold",
    "calibrated",
    "state",
    "convention",
    "evidence",
)

# What the record of a signal's rule was when it gave the signal; printed beside it, stored in a table of its own.
SIGNAL_RECORD = ("record_hit_rate", "record_base_rate", "record_n", "verdict")
# Sessions that it follows, a quarter: long enough for breadth to matter, short enough for a decade to hold a record.
RECORD_HORIZON = 63

# Rules that say something of every session, not of some.
BREADTH_SCORE, CONVICTION = "breadth_score", "conviction"
SESSION_RULES = (BREADTH_SCORE, CONVICTION)

# Keys of a market signal's evidence that others than its writer read.
LEVELS = "levels"  # by name, the levels that the rule was held to; of a calibrated rule, those of the year
ARMED_SESSION = "armed_session"  # the last session on which the event was armed
HELD_BACK = "held_back"  # what the rule said of a session that lost much of its coverage

# What followed a signal. Horizons are sessions from the entry: a week, a month, a quarter, half a year, a year.
HORIZONS = (5, 21, 63, 126, 252)
WINDOW_CLOSED, WINDOW_OPEN, WINDOW_UNPRICED = "closed", "open", "unpriced"
WINDOW_STATES = (WINDOW_CLOSED, WINDOW_OPEN, WINDOW_UNPRICED)
# What a level is made of: with dividends, without them, or with those of some members or sessions only.
TOTAL_RETURN, PRICE_RETURN, MIXED_RETURN = "total return", "price", "partly total return"
BASES = (TOTAL_RETURN, PRICE_RETURN, MIXED_RETURN)

# What a rule's record says, and the era that is all of history. The rules of the verdicts are in
# evaluation/significance.py.
NOT_JUDGED, CHANCE, SUGGESTIVE, SURVIVES = "cannot be judged", "not distinguishable", "suggestive", "survives"
VERDICTS = (NOT_JUDGED, CHANCE, SUGGESTIVE, SURVIVES)
WHOLE = "all"

# What a backtest reports, whether the thresholds of a score stay or are chosen each year, and what cash earned.
FOLLOWED, BUY_AND_HOLD, SAME_EXPOSURE, BENCHMARK = "rule", "buy and hold", "same exposure", "benchmark"
PORTFOLIOS = (FOLLOWED, BUY_AND_HOLD, SAME_EXPOSURE, BENCHMARK)
FIXED, WALK_FORWARD = "fixed", "walk forward"
THRESHOLD_KINDS = (FIXED, WALK_FORWARD)
NO_RATE, SOME_RATES, ALL_RATES = "nothing", "a rate in part of the time", "the risk-free rate"
CASH = (NO_RATE, SOME_RATES, ALL_RATES)

# The rule whose wealth pages and the UI draw: it speaks on every session. Chosen for that, not for its figures.
SHOWN_RULE = BREADTH_SCORE

# What is otherwise when a rule's events are found again: 5 % of the members are missing, at random; one session less
# from the arming level to the firing one; highs and lows of closes; highs and lows with dividends reinvested; counts
# that an exchange published.
DROPOUT, DEADLINE, CLOSES, REINVESTED, AS_PUBLISHED = "dropout", "deadline", "closes", "total_return", "published"
VARIATIONS = (DROPOUT, DEADLINE, CLOSES, REINVESTED, AS_PUBLISHED)

# How symbol signals are grouped when they are judged: what the rules say together beside each rule alone; all of them,
# by tenths of confidence, or by tenths of a session's strengths.
COMBINED = "combined"
BY_ALL, BY_CONFIDENCE, BY_STRENGTH = "all", "confidence", "strength"
GROUPINGS = (BY_ALL, BY_CONFIDENCE, BY_STRENGTH)

# What becomes of a bar that a rule flags.
PROPOSED, QUARANTINED, DOUBTED = "proposed", "quarantined", "doubted"
RELEASED, CONFIRMED, LAPSED = "released", "confirmed", "lapsed"
STATUSES = (PROPOSED, QUARANTINED, DOUBTED, RELEASED, CONFIRMED, LAPSED)
DECIDED = (RELEASED, CONFIRMED)  # somebody signed it
LEFT_OUT = (QUARANTINED, CONFIRMED)  # it keeps the bar out of sound_bars


class Status(StrEnum):
    """Why a bar is on the list of those that rules flag."""

    REJECTED = "rejected"
    QUARANTINED = QUARANTINED
    PROPOSED = PROPOSED
    DOUBTED = DOUBTED
    RELEASED = RELEASED
    CONFIRMED = CONFIRMED
    LAPSED = LAPSED
    GONE = "gone"


# What a failure of a check means: certainly wrong, or worth a look.
Severity = Literal["error", "warn"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

# What is written down of people, and of what launches runs by itself (warehouse/audit_store.py).
LAUNCHED, ENDED, ACCEPTED, WITHDRAWN, RESTORED = "launched", "ended", "accepted", "withdrawn", "restored"
EXPORTED, ERASED, FORGOTTEN = "exported", "erased", "forgotten"
GRANTED, REVOKED = "granted", "revoked"  # a token of the API
AUDITED = (
    *(LAUNCHED, RELEASED, CONFIRMED, ACCEPTED, WITHDRAWN, RESTORED, EXPORTED, ERASED, FORGOTTEN),
    *(GRANTED, REVOKED, ENDED),
)


class Role(StrEnum):
    """What a token of the API lets its holder do: viewers read; operators read, and start and end runs."""

    VIEWER = "viewer"
    OPERATOR = "operator"


# What those who listen are told of (warehouse/event_log.py). MISSED is not stored: it stands for events that were
# dropped before somebody asked for them.
RUN_QUEUED, RUN_STARTED, RUN_PROGRESS, RUN_FINISHED = "run_queued", "run_started", "run_progress", "run_finished"
CHECK_FAILED, NEW_SESSION, NEW_SIGNALS, MISSED = "check_failed", "new_session", "new_signals", "missed"
EVENT_KINDS = (RUN_QUEUED, RUN_STARTED, RUN_PROGRESS, RUN_FINISHED, CHECK_FAILED, NEW_SESSION, NEW_SIGNALS)
