"""What the store holds: tables, columns, comments and the constraints that keep nonsense out.

The migrations bring a database to this shape; a test compares the two. Columns that follow a catalogue of formulas are
not here but made by formula_columns.py. Bars, price_indicators and symbol_signals have triggers in place of a foreign
key (migration 0012, docs/decisions/references.md). Reading and writing is elsewhere in this room.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, JSONB

from breadthflow_pipelines.calendar_file import CLOSED, OPEN
from breadthflow_pipelines.model.counts import BY_ABLE, COUNTS, DIRECTIONS, PUBLISHED, Count, Unit
from breadthflow_pipelines.model.vocabulary import (
    ACCEPTED,
    ACTIONS,
    ALL,
    AS_PUBLISHED,
    AUDITED,
    BAR_VALUES,
    BASES,
    CASH,
    CLOSES,
    DEADLINE,
    DECIDED,
    DROPOUT,
    EVENT_KINDS,
    GROUPINGS,
    HORIZONS,
    LAPSED,
    PORTFOLIOS,
    PRICES,
    REINVESTED,
    SEVERITIES,
    STATES,
    STATUSES,
    THRESHOLD_KINDS,
    VARIATIONS,
    VERDICTS,
    WHOLE,
    WINDOW_CLOSED,
    WINDOW_STATES,
    WITHDRAWN,
    Role,
)
from breadthflow_pipelines.warehouse.sql import quoted

metadata = sa.MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s",
    }
)

NOW = sa.text("now()")
TRUE = sa.text("true")


def _column(name: str, kind: "sa.types.TypeEngine[Any]", comment: str, **options: Any) -> "sa.Column[Any]":
    return sa.Column(name, kind, comment=comment, **{"nullable": False, **options})


def _count(name: str, comment: str) -> "sa.Column[Any]":
    return _column(name, sa.BigInteger(), comment, nullable=True)


def _number(name: str, comment: str) -> "sa.Column[Any]":
    return _column(name, DOUBLE_PRECISION(), comment, nullable=True)


def _finite(*columns: str) -> list[sa.CheckConstraint]:
    # NaN sorts above infinity in PostgreSQL, so one bound on each side refuses all three.
    return [sa.CheckConstraint(f"{c} > '-Infinity' AND {c} < 'Infinity'", name=f"{c}_finite") for c in columns]


def _within(low: float, high: float, *columns: str) -> list[sa.CheckConstraint]:
    return [sa.CheckConstraint(f"{c} BETWEEN {low} AND {high}", name=f"{c}_range") for c in columns]


def _among(column: str, values: Sequence[str], name: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{column} IN ({quoted(values)})", name=name)


def _not_negative(*columns: str) -> list[sa.CheckConstraint]:
    return [sa.CheckConstraint(f"{c} >= 0", name=f"{c}_not_negative") for c in columns]


securities = sa.Table(
    "securities",
    metadata,
    _column(
        "security_id", sa.BigInteger(), "our own number for a company's share", primary_key=True, autoincrement=False
    ),
    _column("security_key", sa.Text(), "the name that never changes; by default the first symbol", unique=True),
    _column("name", sa.Text(), "the company's name", nullable=True),
    _column("sector", sa.Text(), "its sector; null: unknown", nullable=True),
    _column("synthetic", sa.Boolean(), "invented by the demo market, not a real company"),
    comment="Shares that bars and memberships refer to, each with a number that outlives its symbols",
)

security_symbols = sa.Table(
    "security_symbols",
    metadata,
    _column("security_id", sa.BigInteger(), "whose symbol"),
    _column("symbol", sa.Text(), "the exchange's symbol"),
    _column("valid_from", sa.Date(), "first day; null: as far back as known", nullable=True),
    _column("valid_to", sa.Date(), "first day on which it no longer is; null: still", nullable=True),
    sa.ForeignKeyConstraint(["security_id"], ["securities.security_id"]),
    sa.CheckConstraint("valid_to > valid_from", name="interval"),
    comment="Symbols are names that move: which one belonged to which security, from when to when",
)

universe_members = sa.Table(
    "universe_members",
    metadata,
    _column("universe", sa.Text(), "name of the universe", primary_key=True),
    _column("security_id", sa.BigInteger(), "the member", primary_key=True),
    _column("valid_from", sa.Date(), "first day in", primary_key=True),
    _column("valid_to", sa.Date(), "first day out; null: still in", nullable=True),
    _column("symbol", sa.Text(), "its symbol when it joined, as the membership file writes it"),
    sa.ForeignKeyConstraint(["security_id"], ["securities.security_id"]),
    sa.CheckConstraint("valid_to > valid_from", name="interval"),
    comment="Point-in-time members of each universe, as half-open intervals",
)

bars = sa.Table(
    "bars",
    metadata,
    _column("security_id", sa.BigInteger(), "whose bar", primary_key=True),
    _column("session", sa.Date(), "the exchange's own date", primary_key=True),
    *[_column(p, DOUBLE_PRECISION(), f"{p}, adjusted for splits as the source gives it") for p in PRICES],
    _column("volume", sa.BigInteger(), "shares traded"),
    _number("close_adjusted", "close adjusted for splits and dividends; null where the source has none"),
    _column("source", sa.Text(), "who supplied it"),
    _column("run_id", sa.Text(), "the run that wrote it"),
    _column("ingested_at", sa.DateTime(timezone=True), "when it was written", server_default=NOW),
    *[sa.CheckConstraint(f"{p} > 0 AND {p} < 'Infinity'", name=f"{p}_positive") for p in (*PRICES, "close_adjusted")],
    sa.CheckConstraint("high >= low", name="high_not_below_low"),
    sa.CheckConstraint("open BETWEEN low * 0.9999 AND high * 1.0001", name="open_inside"),
    sa.CheckConstraint("close BETWEEN low * 0.9999 AND high * 1.0001", name="close_inside"),
    sa.CheckConstraint("volume >= 0", name="volume_not_negative"),
    comment="Daily bars, one per security and session, partitioned by year",
    postgresql_partition_by="RANGE (session)",
)

rejected_bars = sa.Table(
    "rejected_bars",
    metadata,
    _column("fingerprint", sa.Text(), "of source, row and reasons: the same row is kept once", primary_key=True),
    _column("source", sa.Text(), "who supplied it"),
    _column("symbol", sa.Text(), "as supplied", nullable=True),
    _column("session", sa.Date(), "as supplied", nullable=True),
    *[_number(p, "as supplied") for p in BAR_VALUES],
    _column("reasons", ARRAY(sa.Text()), "the rules that it breaks"),
    _column("raw", sa.Text(), "what could not be read, as the file has it; null: everything could", nullable=True),
    _column("run_id", sa.Text(), "the run that met it first"),
    _column("rejected_at", sa.DateTime(timezone=True), "when that was", server_default=NOW),
    _column(
        "gone_at",
        sa.DateTime(timezone=True),
        "when the source, read again, no longer had it; null: it still has it",
        nullable=True,
    ),
    sa.CheckConstraint("cardinality(reasons) > 0", name="has_reason"),
    sa.Index("rejected_bars_of_session", "session"),
    comment="Rows that broke the contract of bars, as they came, with the reasons",
)

REVISABLE = (*BAR_VALUES, "source")

BarChange = Literal["restatement", "correction"]

bar_revisions = sa.Table(
    "bar_revisions",
    metadata,
    _column("security_id", sa.BigInteger(), "whose bar", primary_key=True),
    _column("session", sa.Date(), "which session", primary_key=True),
    _column("revised_at", sa.DateTime(timezone=True), "when it changed", primary_key=True, server_default=NOW),
    _column("run_id", sa.Text(), "the run that brought the new values"),
    *[
        _column(f"{when}_{name}", bars.c[name].type, f"{name} {about}", nullable=name == "close_adjusted")
        for name in REVISABLE
        for when, about in (("old", "before"), ("new", "after"))
    ],
    _column("old_run_id", sa.Text(), "the run that had written the old values"),
    _column("old_ingested_at", sa.DateTime(timezone=True), "since when they had been known"),
    _column(
        "kind", sa.Text(), "restatement or correction; null: changed before the two were distinguished", nullable=True
    ),
    _among("kind", get_args(BarChange), "kind_known"),
    sa.Index("bar_revisions_of_session", "session"),
    comment="Every value of a bar that a source changed later, old and new",
)

restatements = sa.Table(
    "restatements",
    metadata,
    _column("security_id", sa.BigInteger(), "whose history", primary_key=True),
    _column("noticed_at", sa.DateTime(timezone=True), "when it was noticed", primary_key=True, server_default=NOW),
    _number("price_ratio", "new prices / old prices; null: prices are as they were"),
    _number("adjusted_ratio", "new adjusted closes / old ones; null: as they were, or there are none"),
    _column("compared", sa.BigInteger(), "stored bars that came again when it was noticed"),
    _column("applied_at", sa.DateTime(timezone=True), "when its history was replaced; null: not yet", nullable=True),
    _column("run_id", sa.Text(), "the run that noticed it"),
    sa.ForeignKeyConstraint(["security_id"], ["securities.security_id"]),
    sa.CheckConstraint("num_nonnulls(price_ratio, adjusted_ratio) > 0", name="says_what"),
    sa.CheckConstraint("price_ratio > 0 AND price_ratio < 'Infinity'", name="price_ratio_positive"),
    sa.CheckConstraint("adjusted_ratio > 0 AND adjusted_ratio < 'Infinity'", name="adjusted_ratio_positive"),
    sa.Index("restatements_one_pending", "security_id", unique=True, postgresql_where=sa.text("applied_at IS NULL")),
    comment="Securities whose whole history a source gave on another scale after a split or a dividend",
)

publications = sa.Table(
    "publications",
    metadata,
    _column("exchange", sa.Text(), "whose counts; a universe of that name", primary_key=True),
    _column("place", sa.Text(), "a directory, or an address without user, password and query"),
    _column(
        "remembered_at",
        sa.DateTime(timezone=True),
        "when breadthflow import-breadth last named it",
        server_default=NOW,
    ),
    comment="Where every run reads the counts that an exchange publishes, set by breadthflow import-breadth",
)

recomputations = sa.Table(
    "recomputations",
    metadata,
    sa.Column(
        "recomputation_id",
        sa.BigInteger(),
        sa.Identity(always=True),
        primary_key=True,
        comment="in the order of the changes",
    ),
    _column("asset", sa.Text(), "what to recompute"),
    _column("first_session", sa.Date(), "from this session on"),
    _column("last_session", sa.Date(), "through this one; null: through the last that is stored", nullable=True),
    _column("securities", ARRAY(sa.BigInteger()), "whose rows alone; null: those of all", nullable=True),
    _column("cause", sa.Text(), "what changed below it"),
    _column("changed_through", sa.Date(), "the last session that changed below it; null: not known", nullable=True),
    _column("noted_at", sa.DateTime(timezone=True), "when it changed", server_default=NOW),
    comment="Sessions of assets to recompute because of a change below them; empty after a complete run",
)


def _what_is_known(of: str) -> Iterator["sa.Column[Any]"]:
    yield _column("made_of", sa.Text(), f"hash of all that the {of} was computed from")
    yield _column("writers", sa.Text(), "hash of which transactions wrote how many of its rows")


computed_months = sa.Table(
    "computed_months",
    metadata,
    _column("asset", sa.Text(), "whose rows", primary_key=True),
    _column("month", sa.Date(), "first day of the month that the rows are of", primary_key=True),
    *_what_is_known("month"),
    comment="Months whose rows were found to be what their inputs give; where neither changed, nothing is computed",
)

computed_sessions = sa.Table(
    "computed_sessions",
    metadata,
    _column("asset", sa.Text(), "whose rows", primary_key=True),
    _column("session", sa.Date(), "the exchange's own date", primary_key=True),
    *_what_is_known("session"),
    comment="The same as computed_months of the sessions of the newest months, for daily runs",
)

universe_medians = sa.Table(
    "universe_medians",
    metadata,
    _column("universe", sa.Text(), "name of the universe", primary_key=True),
    _column("session", sa.Date(), "the exchange's own date", primary_key=True),
    _number("median_roc", "per cent, the median of its members' gains in 63 bars; null: none is known"),
    comment="What relative_strength of price_indicators was held against, to tell whose it no longer is",
)

calendar_changes = sa.Table(
    "calendar_changes",
    metadata,
    _column("session", sa.Date(), "the day", primary_key=True),
    _column("change", sa.Text(), "closed: it is not a session; open: it is one", primary_key=True),
    _column("reason", sa.Text(), "why, as the file says"),
    _column("applied_at", sa.DateTime(timezone=True), "when the change was applied to the store", server_default=NOW),
    _among("change", (CLOSED, OPEN), "change_known"),
    comment="Days that BREADTHFLOW_CALENDAR_CHANGES closes or opens, as applied to the store",
)

source_readings = sa.Table(
    "source_readings",
    metadata,
    _column("source", sa.Text(), "which source, as bars name it", primary_key=True),
    _column("run_id", sa.Text(), "the run that read it last"),
    _column("inputs", sa.Text(), "hash of all that the run was made from; null: it has not ended well", nullable=True),
    _column("begun_at", sa.DateTime(timezone=True), "when it began to read", server_default=NOW),
    _column("ended_at", sa.DateTime(timezone=True), "when it ended well; null: it has not", nullable=True),
    sa.CheckConstraint("(inputs IS NULL) = (ended_at IS NULL)", name="ended_well"),
    comment="The last reading of each source: a run with the same inputs has nothing to do",
)

quarantined_bars = sa.Table(
    "quarantined_bars",
    metadata,
    _column("security_id", sa.BigInteger(), "whose bar", primary_key=True),
    _column("session", sa.Date(), "which session", primary_key=True),
    _column("rule", sa.Text(), "the rule that found it", primary_key=True),
    _column("evidence", JSONB(), "what the rule saw"),
    _column("fingerprint", sa.Text(), "of the bar's values: a decision holds for these and no others"),
    _column("status", sa.Text(), "quarantined, confirmed: left out; proposed, doubted, released, lapsed: not"),
    _column("run_id", sa.Text(), "the run that set the status; null: a person did", nullable=True),
    _column("found_at", sa.DateTime(timezone=True), "when the rule first found these values", server_default=NOW),
    _column("decided_at", sa.DateTime(timezone=True), "when a person decided", nullable=True),
    _column("decided_by", sa.Text(), "who", nullable=True),
    _column("reason", sa.Text(), "and why", nullable=True),
    sa.ForeignKeyConstraint(["security_id"], ["securities.security_id"]),
    _among("status", STATUSES, "status_known"),
    sa.CheckConstraint(
        f"(status IN ({quoted(DECIDED)})) = (num_nonnulls(decided_at, decided_by, reason) = 3) "
        "AND num_nonnulls(decided_at, decided_by, reason) IN (0, 3)",
        name="decision_is_signed",
    ),
    sa.Index("quarantined_bars_of_session", "session"),
    comment="Bars that keep their contract and cannot be right: by which rule, on what evidence, and who decided what",
)

verdicts = sa.Table(
    "verdicts",
    metadata,
    _column("asset", sa.Text(), "what was judged", primary_key=True),
    _column("check_name", sa.Text(), "by which check", primary_key=True),
    _column("month", sa.Text(), "which month of it, as YYYY-MM; all: the whole table", primary_key=True),
    _column("severity", sa.Text(), "error or warn: what a failure of the check means"),
    _column("failing", sa.BigInteger(), "sessions of the month that fail, or rows; 0: it passes"),
    _column("first_session", sa.Date(), "the first session that fails; null: none, or not known", nullable=True),
    _column("last_session", sa.Date(), "the last one", nullable=True),
    _column("said", sa.Text(), "what is wrong, in words; null: nothing", nullable=True),
    _column("since", sa.DateTime(timezone=True), "since when it passes, or fails", server_default=NOW),
    _column("judged_at", sa.DateTime(timezone=True), "when it was judged last", server_default=NOW),
    _column("run_id", sa.Text(), "by which run; null: by a command that decided something", nullable=True),
    _among("severity", SEVERITIES, "severity_known"),
    sa.CheckConstraint("failing >= 0 AND (failing > 0) = (said IS NOT NULL)", name="says_what_fails"),
    comment="What each check last said of each month; a check passes if no month fails",
)


def _hole() -> "list[sa.Column[Any]]":
    return [
        _column("gate", sa.Text(), "the check that found it", primary_key=True),
        _column("universe", sa.Text(), "the universe it holds; *: every universe made from the bars", primary_key=True),
        _column(
            "synthetic", sa.Boolean(), "with *: whether the bars are those of invented companies", primary_key=True
        ),
        _column("session", sa.Date(), "the first session that must not be used", primary_key=True),
        _column("missing", DOUBLE_PRECISION(), "the share of what should be there that is not"),
    ]


holds = sa.Table(
    "holds",
    metadata,
    *_hole(),
    _column("said", sa.Text(), "the figure, in words"),
    _column("since", sa.DateTime(timezone=True), "when it was found", server_default=NOW),
    _column("run_id", sa.Text(), "the run that found it"),
    _column("tried_at", sa.DateTime(timezone=True), "when its bars were last asked for; null: not yet", nullable=True),
    *_within(0, 1, "missing"),
    comment="Data that must not be used; the view holding has the holds that nobody accepted",
)

HOLE_DECISIONS = (ACCEPTED, WITHDRAWN, LAPSED)

hole_decisions = sa.Table(
    "hole_decisions",
    metadata,
    sa.Column(
        "decision_id", sa.BigInteger(), sa.Identity(always=True), primary_key=True, comment="in the order of decisions"
    ),
    *[sa.Column(c.name, c.type, nullable=False, comment=c.comment) for c in _hole()],
    _column("decision", sa.Text(), "accepted; withdrawn: the acceptance was taken back; lapsed: the hole is gone"),
    _column("decided_at", sa.DateTime(timezone=True), "when", server_default=NOW),
    _column("decided_by", sa.Text(), "who, or which run"),
    _column("reason", sa.Text(), "why"),
    _among("decision", HOLE_DECISIONS, "decision_known"),
    comment="Every decision on a hole; the last one counts, for no more than was missing then",
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column(
        "audit_id",
        sa.BigInteger(),
        sa.Identity(always=True),
        primary_key=True,
        comment="in the order in which things were done",
    ),
    _column("done_at", sa.DateTime(timezone=True), "when", server_default=NOW),
    _column("who", sa.Text(), "the user; null: not known, or no person", nullable=True),
    _column("behalf", sa.Text(), "in whose name or about whom, where that is somebody else", nullable=True),
    _column("action", sa.Text(), "what was done"),
    _column("what", sa.Text(), "to what"),
    _column("reason", sa.Text(), "why, where it was asked for", nullable=True),
    _column("run_id", sa.Text(), "the run that was launched", nullable=True),
    _column("via", sa.Text(), "command, ui, or what launches runs by itself"),
    _column("host", sa.Text(), "the machine or container"),
    _column("login", sa.Text(), "the database's login, as the server knows it", server_default=sa.text("SESSION_USER")),
    _among("action", AUDITED, "action_known"),
    comment="Who launched, decided, restored or erased what, when and from where; rows are added and stay",
)

api_tokens = sa.Table(
    "api_tokens",
    metadata,
    _column("token_id", sa.Text(), "the part of the token that is no secret", primary_key=True),
    _column("held_by", sa.Text(), "whose it is; the audit has it as who"),
    _column("role", sa.Text(), "viewer: reads; operator: also starts and ends runs"),
    _column("secret_hash", sa.Text(), "Argon2 hash of the rest of the token"),
    _column("created_at", sa.DateTime(timezone=True), "when it was made", server_default=NOW),
    _column("created_by", sa.Text(), "by whom"),
    _column("expires_at", sa.DateTime(timezone=True), "from when on it is refused; null: never", nullable=True),
    _column("revoked_at", sa.DateTime(timezone=True), "when it was revoked; null: it was not", nullable=True),
    _column("revoked_by", sa.Text(), "by whom", nullable=True),
    _column("last_used_at", sa.DateTime(timezone=True), "when it last let someone in, to a minute", nullable=True),
    _among("role", tuple(Role), "role_known"),
    sa.CheckConstraint("(revoked_at IS NULL) = (revoked_by IS NULL)", name="revocation_is_signed"),
    comment="Tokens of the API; only their holders know their secrets",
)

page_sessions = sa.Table(
    "page_sessions",
    metadata,
    _column("session_hash", sa.Text(), "SHA-256 of what the browser holds", primary_key=True),
    _column("token_id", sa.Text(), "the token that was shown"),
    _column("began_at", sa.DateTime(timezone=True), "when that was", server_default=NOW),
    _column("expires_at", sa.DateTime(timezone=True), "from when on it is refused"),
    sa.ForeignKeyConstraint(["token_id"], ["api_tokens.token_id"]),
    comment="Who is logged in to the page; only browsers know what their sessions are called",
)

store_changes = sa.Table(
    "store_changes",
    metadata,
    _column(
        "transaction",
        sa.BigInteger(),
        "the server's number of a transaction that changed what the API shows",
        primary_key=True,
        autoincrement=False,
    ),
    _column("relation", sa.Text(), "the table that it changed", primary_key=True),
    _column("changed_at", sa.DateTime(timezone=True), "when the transaction began", server_default=NOW),
    comment="What answers of the API are dated by; a trigger of each table that it shows writes them",
)

retentions = sa.Table(
    "retentions",
    metadata,
    _column("relation", sa.Text(), "the table", primary_key=True),
    _column("dropped_before", sa.DateTime(timezone=True), "rows that were over before this moment were dropped"),
    _column("dropped_at", sa.DateTime(timezone=True), "when last", server_default=NOW),
    comment="From which tables old rows were dropped, and how old they were",
)

events = sa.Table(
    "events",
    metadata,
    sa.Column(
        "event_id",
        sa.BigInteger(),
        sa.Identity(always=True),
        primary_key=True,
        comment="in the order in which listeners get them; given under a lock, so that none appears below another",
    ),
    _column("kind", sa.Text(), "what happened"),
    _column("happened_at", sa.DateTime(timezone=True), "when"),
    _column("about", JSONB(), "what it is about"),
    _column("dagster_id", sa.BigInteger(), "its entry in Dagster's log; null: the store's", nullable=True),
    sa.UniqueConstraint("dagster_id"),
    _among("kind", EVENT_KINDS, "kind_known"),
    sa.Index("events_by_time", "happened_at"),
    comment="What listeners were told, or will be when they ask: runs, failed checks, new sessions and signals",
)

pending_events = sa.Table(
    "pending_events",
    metadata,
    sa.Column(
        "pending_id",
        sa.BigInteger(),
        sa.Identity(always=True),
        primary_key=True,
        comment="no order that listeners could rely on: others with lower ones may be committed later",
    ),
    _column("kind", sa.Text(), "what happened"),
    _column("happened_at", sa.DateTime(timezone=True), "when", server_default=NOW),
    _column("about", JSONB(), "what it is about"),
    _among("kind", EVENT_KINDS, "kind_known"),
    comment="Events of the store, written with what they tell of, that have no number yet",
)

event_marks = sa.Table(
    "event_marks",
    metadata,
    _column("mark", sa.Text(), "read: of Dagster's log; dropped: of events", primary_key=True),
    _column("reached", sa.BigInteger(), "all up to this number are read, or dropped"),
    _among("mark", ("read", "dropped"), "mark_known"),
    comment="How far Dagster's log was read for events, and up to which number old events were dropped",
)

run_requests = sa.Table(
    "run_requests",
    metadata,
    _column("request_id", sa.Text(), "random; a tag of the run that was launched for it", primary_key=True),
    _column("who", sa.Text(), "the user; null where nobody has to say", nullable=True),
    _column("key_hash", sa.Text(), "of the user and the idempotency key, where one came", nullable=True),
    _column("body_hash", sa.Text(), "of what was requested"),
    _column("asked_at", sa.DateTime(timezone=True), "when", server_default=NOW),
    _column("run_id", sa.Text(), "the run that answers it; null: none was launched yet", nullable=True),
    sa.UniqueConstraint("key_hash"),
    comment="Runs that were requested by API, so that a request that is sent again starts no second run",
)

exchange_breadth = sa.Table(
    "exchange_breadth",
    metadata,
    _column("exchange", sa.Text(), "whose counts; also the name of the universe", primary_key=True),
    _column("session", sa.Date(), "the exchange's own date", primary_key=True),
    *[_count(c, f"{c.replace('_', ' ')} as published; null where not published") for c in PUBLISHED],
    _number("index_close", "the level of the exchange's index, where a file gives it"),
    _count("volume_unit", "shares in one published unit of volume; null where no volume"),
    _number(
        "usual_issues", "the usual total of issues, if this row counts another list; null: it counts the usual one"
    ),
    _column("doubts", ARRAY(sa.Text()), "the rules that the row fails; empty: none", server_default=sa.text("'{}'")),
    _column("issues_usable", sa.Boolean(), "whether issues, highs and lows may enter indicators", server_default=TRUE),
    _column("volume_usable", sa.Boolean(), "whether volumes may", server_default=TRUE),
    _column("run_id", sa.Text(), "the run that wrote it last"),
    _column("ingested_at", sa.DateTime(timezone=True), "when it was written", server_default=NOW),
    *_not_negative(*PUBLISHED),
    sa.CheckConstraint("index_close > 0 AND index_close < 'Infinity'", name="index_close_positive"),
    sa.CheckConstraint("volume_unit > 0", name="volume_unit_positive"),
    sa.CheckConstraint("usual_issues > 0 AND usual_issues < 'Infinity'", name="usual_issues_positive"),
    comment="Breadth as an exchange published it, in issues and shares",
)

rejected_counts = sa.Table(
    "rejected_counts",
    metadata,
    _column("fingerprint", sa.Text(), "of exchange, row and reason: the same row is kept once", primary_key=True),
    _column("exchange", sa.Text(), "whose counts"),
    _column("series", sa.Text(), "which file"),
    _column("line", sa.BigInteger(), "which line of it, from 1"),
    _column("session", sa.Date(), "the date on it, where it is one", nullable=True),
    _column("value", sa.Text(), "as it came", nullable=True),
    _column("reason", sa.Text(), "the rule that it breaks"),
    _column("run_id", sa.Text(), "the run that met it first"),
    _column("rejected_at", sa.DateTime(timezone=True), "when that was", server_default=NOW),
    sa.Index("rejected_counts_of_session", "session"),
    comment="Rows of published counts that broke their contract, with the reason",
)


def _key() -> "list[sa.Column[Any]]":
    return [
        _column("universe", sa.Text(), "name of the universe", primary_key=True),
        _column("segment", sa.Text(), "ALL, or a sector", primary_key=True),
        _column("session", sa.Date(), "the exchange's own date", primary_key=True),
    ]


def _counted(count: Count) -> "sa.Column[Any]":
    kind: sa.types.TypeEngine[Any] = sa.BigInteger() if count.whole else DOUBLE_PRECISION()
    return _column(count.name, kind, count.about, nullable=count.nullable)


def _held_above_zero(count: Count) -> bool:
    # The migrations give no such constraint to members above a mean.
    return count.unit not in (Unit.FRACTION, Unit.LEVEL) and not count.name.startswith("above_")


def _within_able(able: str, counts: Sequence[str]) -> sa.CheckConstraint:
    """No more did it than could, and no more could than have a bar."""
    most = counts[0] if len(counts) == 1 else f"greatest({', '.join(counts)})"
    name = counts[0].replace("new_highs", "extremes")  # highs and lows are held to it together
    return sa.CheckConstraint(f"{most} <= {able} AND {able} <= priced", name=f"{name}_able")


breadth_counts = sa.Table(
    "breadth_counts",
    metadata,
    *_key(),
    *[_counted(count) for count in COUNTS],
    _column("convention", sa.Integer(), "version of the definitions"),
    _column("computed_at", sa.DateTime(timezone=True), "when the row last changed", server_default=NOW),
    *_not_negative(*(count.name for count in COUNTS if _held_above_zero(count))),
    *_finite(*(count.name for count in COUNTS if count.unit in (Unit.PRICE, Unit.LEVEL))),
    *_within(0, 1, "coverage"),
    sa.CheckConstraint(f"priced BETWEEN 1 AND members OR (priced = 0 AND segment <> '{ALL}')", name="priced_members"),
    sa.CheckConstraint(f"num_nulls({', '.join(DIRECTIONS)}) IN (0, 3)", name="directions_told_together"),
    sa.CheckConstraint(
        f"coalesce({' + '.join(DIRECTIONS)}, 0) + no_prior + gap = priced", name="every_priced_member_once"
    ),
    sa.CheckConstraint("abs(coverage * members - priced) < 0.000001", name="coverage_as_stated"),
    *[_within_able(able, counts) for able, counts in BY_ABLE.items()],
    comment="Breadth counted from bars, per universe, segment and session",
)

breadth_indicators = sa.Table(
    "breadth_indicators",
    metadata,
    *_key(),
    _column("state", sa.Text(), "provisional: coverage is poor or the bars may still change; else final"),
    _column("settled", sa.Boolean(), "whether the slowest recursion has forgotten its seed to one in a million"),
    _column("convention", sa.Integer(), "version of the definitions"),
    _column("computed_at", sa.DateTime(timezone=True), "when the row last changed", server_default=NOW),
    _among("state", STATES, "state_known"),
    comment="Breadth indicators, recomputed whole from the counts; null before burn-in and where unknown",
)


def _member_key() -> "list[sa.Column[Any]]":
    return [
        _column("universe", sa.Text(), "name of the universe", primary_key=True),
        _column("session", sa.Date(), "the exchange's own date", primary_key=True),
        _column("security_id", sa.BigInteger(), "the member", primary_key=True),
    ]


price_indicators = sa.Table(
    "price_indicators",
    metadata,
    *_member_key(),
    _column("convention", sa.Integer(), "version of the definitions"),
    _column("computed_at", sa.DateTime(timezone=True), "when the row last changed", server_default=NOW),
    comment="Technical indicators of each member on each session, from the whole history of its own bars",
    postgresql_partition_by="RANGE (session)",
)

recursion_states = sa.Table(
    "recursion_states",
    metadata,
    _column("security_id", sa.BigInteger(), "whose bars", primary_key=True),
    _column("session", sa.Date(), "the bar after which the recursions go on", primary_key=True),
    _column("states", ARRAY(DOUBLE_PRECISION()), "what each recursion is on this bar"),
    _column("formulas", sa.Text(), "hash of the recursions' definitions; under others the row means nothing"),
    comment="Where the recursions of price_indicators go on, so that no run need read a whole history",
)

symbol_signals = sa.Table(
    "symbol_signals",
    metadata,
    *_member_key(),
    _column("action", sa.Text(), "buy, sell or hold"),
    _column("confidence", DOUBLE_PRECISION(), "strength of the evidence, 0 to 1; not a probability"),
    _column("strength", DOUBLE_PRECISION(), "what the rules say together, -1 (sell) to 1 (buy)"),
    _number("regime", "breadth score of the universe on that session; null: unknown"),
    _column("gated", sa.Boolean(), "whether the regime held back what the rules said"),
    _column("convention", sa.Integer(), "version of the definitions"),
    _column("computed_at", sa.DateTime(timezone=True), "when the row last changed", server_default=NOW),
    _among("action", ACTIONS, "action_known"),
    *_within(0, 1, "confidence"),
    *_within(-1, 1, "strength"),
    *_within(0, 100, "regime"),
    sa.Index("symbol_signals_of_security", "security_id", "session"),  # one member's years, without those of all others
    comment="What the technical rules say of each member, gated by the breadth of its universe",
    postgresql_partition_by="RANGE (session)",
)

market_signals = sa.Table(
    "market_signals",
    metadata,
    _column("signal_id", sa.Text(), "stable: the same signal keeps its id", primary_key=True),
    _column("universe", sa.Text(), "name of the universe"),
    _column("segment", sa.Text(), "ALL, or a sector"),
    _column("session", sa.Date(), "known at this session's close, to be acted on from the next"),
    _column("rule", sa.Text(), "the rule that fired"),
    _column("action", sa.Text(), "buy, sell or hold"),
    _column("confidence", DOUBLE_PRECISION(), "strength of the evidence, 0 to 1; not a probability"),
    _column("value", DOUBLE_PRECISION(), "what the rule looked at"),
    _column("threshold", DOUBLE_PRECISION(), "what it was compared with"),
    _column("calibrated", sa.Boolean(), "whether the threshold was published for this kind of universe"),
    _column("state", sa.Text(), "provisional or final"),
    _column("convention", sa.Integer(), "version of the definitions"),
    _column("evidence", JSONB(), "what explain prints"),
    _column("computed_at", sa.DateTime(timezone=True), "when the row last changed", server_default=NOW),
    sa.UniqueConstraint("universe", "segment", "session", "rule"),
    _among("action", ACTIONS, "action_known"),
    _among("state", STATES, "state_known"),
    *_within(0, 1, "confidence"),
    *_finite("value", "threshold"),
    comment="Signals of the market's breadth, each with the evidence that fired it",
)

_HELD = {
    "members": "members on the session before, who could be held from its close on",
    "contributing": "of them, those with a bar on the session and one at most 21 sessions earlier",
    "missing": "of them, those without a bar on the session; they contribute nothing",
    "first": "of them, those whose first bar it is",
    "gap": "of them, those whose last bar is more than 21 sessions old",
    "adjusted": "of those contributing, those whose return includes dividends",
}

universe_returns = sa.Table(
    "universe_returns",
    metadata,
    *_key(),
    _number("return", "mean return of those contributing since their last bar, a fraction; null: there are none"),
    *[_column(name, sa.BigInteger(), about) for name, about in _HELD.items()],
    _column("computed_at", sa.DateTime(timezone=True), "when the row last changed", server_default=NOW),
    _number("intraday", "mean return of those contributing from the session's open to its close; null: there are none"),
    sa.CheckConstraint("return >= -1 AND return < 'Infinity'", name="return_range"),
    sa.CheckConstraint("intraday >= -1 AND intraday < 'Infinity'", name="intraday_range"),
    *_not_negative(*_HELD),
    sa.CheckConstraint("contributing + missing + first + gap = members", name="every_member_once"),
    sa.CheckConstraint("adjusted <= contributing", name="adjusted_contribute"),
    sa.CheckConstraint("(return IS NULL) = (contributing = 0)", name="return_of_contributing"),
    comment="Equal-weight return of each universe's members; its signals are held against it",
)


def _horizon() -> "sa.Column[Any]":
    return _column("horizon", sa.Integer(), "sessions from the entry", primary_key=True, autoincrement=False)


def _horizons() -> sa.CheckConstraint:
    return sa.CheckConstraint(f"horizon IN ({', '.join(map(str, HORIZONS))})", name="horizon_known")


signal_outcomes = sa.Table(
    "signal_outcomes",
    metadata,
    _column("signal_id", sa.Text(), "the signal, in market_signals", primary_key=True),
    _horizon(),
    _column("universe", sa.Text(), "name of the universe"),
    _column("segment", sa.Text(), "ALL, or a sector"),
    _column("session", sa.Date(), "the signal's"),
    _column("rule", sa.Text(), "the rule that fired"),
    _column("action", sa.Text(), "what the signal said: buy, sell or hold"),
    _column("state", sa.Text(), "closed; open: the exit is still to come; unpriced: entry or exit has no level"),
    _column("entry_session", sa.Date(), "the session after the signal's, at whose close one enters", nullable=True),
    _column("exit_session", sa.Date(), "horizon sessions after it, at whose close one leaves", nullable=True),
    _number("return", "from entry to exit, a fraction; null unless closed"),
    _number("base_return", "mean of all windows of the horizon closed before this one; null before a year of them"),
    _number("excess", "return less base_return"),
    _number("drawdown", "the deepest fall on the way from the highest close since the entry, 0 or less"),
    _column(
        "hit",
        sa.Boolean(),
        "a buy that rose, a sell whose excess is below 0; null of a hold, and while it is not known",
        nullable=True,
    ),
    _column("basis", sa.Text(), "what the return is made of: total return, price, partly total return"),
    _column("computed_at", sa.DateTime(timezone=True), "when the row last changed", server_default=NOW),
    _number("return_from_open", "as return, from the open of the entry session; null where it has no opens"),
    _horizons(),
    _among("action", ACTIONS, "action_known"),
    _among("state", WINDOW_STATES, "state_known"),
    _among("basis", BASES, "basis_known"),
    sa.CheckConstraint(f"(state = '{WINDOW_CLOSED}') = (return IS NOT NULL)", name="closed_has_return"),
    sa.CheckConstraint("entry_session > session AND exit_session > entry_session", name="in_order"),
    sa.CheckConstraint("return >= -1 AND return < 'Infinity'", name="return_range"),
    *_within(-1, 0, "drawdown"),
    *_finite("base_return", "excess"),
    sa.CheckConstraint("return_from_open >= -1 AND return_from_open < 'Infinity'", name="return_from_open_range"),
    comment="What followed each signal of the market at each horizon",
)


_SHARES = {
    "hit_rate": "events of which the claim came true",
    "base_rate": "the same of all eligible sessions",
    "detectable": "the smallest hit rate that effective_n could tell from the base rate; null: not even 1",
    "p_rotation": "share of all rotations of the events with as high a hit rate",
    "p_mean": "share of all rotations with as high a mean return (sell: as low)",
    "base_matched": "hit rate of sessions with the events' trailing drawdowns",
    "p_matched": "p_rotation of hits less what sessions of the same drawdown give",
    "p_family": "p_rotation that holds for all members of the family at once; null of parts of history",
    "p_holm": "Holm's adjustment of p_rotation within the family",
}
_RETURNS = {
    "mean": "mean return after the events, a fraction",
    "base_mean": "the same after all eligible sessions",
    "median": "median return after the events",
    "base_median": "the same after all eligible sessions",
    "p10": "a tenth of the returns after the events lies below",
    "p90": "a tenth of them lies above",
}
_FROM_OPEN = {
    "hit_rate_from_open": "hit_rate of entries at the open of the entry session; null: not all opens are known",
    "base_rate_from_open": "the same of all eligible sessions",
    "mean_from_open": "mean return after the events, from that open",
}
_KEPT = {
    DROPOUT: "without 5 % of the members at random, a share; null: not computed",
    DEADLINE: "with a session less to fire in; null: not computed, or it has no limit",
    CLOSES: "with highs and lows of closes; null: not computed, or it looks at none",
    REINVESTED: "with dividends in highs and lows; null: as of closes, or none are known",
    AS_PUBLISHED: "with the counts that an exchange published; null: none are named beside it, or none can tell",
}
_TRIED = {
    "eligible": "sessions on which the rule could speak and whose window has closed",
    "events": "of them, those on which it did",
    "episodes": "groups of events at most 20 sessions apart",
    "effective_n": "windows of the events that do not overlap",
}

signal_accuracy = sa.Table(
    "signal_accuracy",
    metadata,
    _column("universe", sa.Text(), "name of the universe", primary_key=True),
    _column("rule", sa.Text(), "the rule", primary_key=True),
    _column("action", sa.Text(), "the side that is judged; hold: it claims nothing", primary_key=True),
    _horizon(),
    _column("era", sa.Text(), "all, or a part of history by the session of the signal", primary_key=True),
    _column("verdict", sa.Text(), "cannot be judged, not distinguishable, suggestive or survives"),
    _column("reason", sa.Text(), "why it cannot be judged", nullable=True),
    _column("first_session", sa.Date(), "the first eligible session", nullable=True),
    _column("last_session", sa.Date(), "the last one", nullable=True),
    *[_column(name, sa.Integer(), about) for name, about in _TRIED.items()],
    _column("open", sa.Integer(), "events whose window has not closed; null of parts of history", nullable=True),
    _column(
        "left_out",
        sa.Integer(),
        "signals of other sessions, or without a price; null of parts of history",
        nullable=True,
    ),
    *[_number(name, about) for name, about in _SHARES.items()],
    _number("lift", "hit_rate less base_rate"),
    _number("lift_low", "lower end of its 95 % interval"),
    _number("lift_high", "upper end of it"),
    *[_number(name, about) for name, about in _RETURNS.items()],
    _number("drawdown", "median deepest fall on the way after the events, 0 or less"),
    _number("base_drawdown", "the same after all eligible sessions"),
    _column("family", sa.Text(), "what it was judged among; null: it was not", nullable=True),
    _column("family_members", sa.Integer(), "how many were", nullable=True),
    _column("basis", sa.Text(), "what returns are made of; null: there are none", nullable=True),
    _column("computed_at", sa.DateTime(timezone=True), "when the row last changed", server_default=NOW),
    *[_number(name, about) for name, about in _FROM_OPEN.items()],
    *[_number(f"kept_{name}", f"events that stay, {about}") for name, about in _KEPT.items()],
    _horizons(),
    _among("action", ACTIONS, "action_known"),
    _among("verdict", VERDICTS, "verdict_known"),
    _among("basis", BASES, "basis_known"),
    sa.CheckConstraint(f"(verdict = '{VERDICTS[0]}') = (reason IS NOT NULL)", name="says_why_not"),
    sa.CheckConstraint(f"(verdict = '{VERDICTS[0]}') = (p_rotation IS NULL)", name="judged_by_chance"),
    sa.CheckConstraint("effective_n <= events", name="effective_n_events"),
    sa.CheckConstraint("episodes <= events AND events <= eligible", name="events_eligible"),
    *_not_negative(*_TRIED, "open", "left_out"),
    *_within(0, 1, *_SHARES),
    *_within(-1, 0, "drawdown", "base_drawdown"),
    *_within(-1, 1, "lift"),
    *_within(0, 1, "hit_rate_from_open", "base_rate_from_open", *(f"kept_{name}" for name in _KEPT)),
    *_finite("lift_low", "lift_high", *_RETURNS, "mean_from_open"),
    comment="The record of each rule held against chance, per universe, side, horizon and era",
)

signal_stability = sa.Table(
    "signal_stability",
    metadata,
    _column("universe", sa.Text(), "name of the universe", primary_key=True),
    _column("rule", sa.Text(), "the rule", primary_key=True),
    _column(
        "variation",
        sa.Text(),
        "what was otherwise: dropout, deadline, closes, total_return or published",
        primary_key=True,
    ),
    _column("reruns", sa.Integer(), "how often its events were found again"),
    _column("events", sa.Integer(), "events that there are as things are"),
    _column("kept", DOUBLE_PRECISION(), "share of them that a rerun has on the same session, on average"),
    _column("kept_least", DOUBLE_PRECISION(), "of the worst rerun"),
    _column("jaccard", DOUBLE_PRECISION(), "events in both of the events in either, on average"),
    _column("computed_at", sa.DateTime(timezone=True), "when the row last changed", server_default=NOW),
    _among("variation", VARIATIONS, "variation_known"),
    *_within(0, 1, "kept", "kept_least", "jaccard"),
    sa.CheckConstraint("reruns > 0 AND events > 0", name="something_to_keep"),
    comment="How many of a rule's events stay when data or conventions are a little otherwise; made once a week",
)

signal_records = sa.Table(
    "signal_records",
    metadata,
    _column("signal_id", sa.Text(), "the signal, in market_signals", primary_key=True),
    _column("universe", sa.Text(), "name of the universe"),
    _column("session", sa.Date(), "the signal's"),
    _column("record_hit_rate", DOUBLE_PRECISION(), "share of the rule's earlier signals that were right"),
    _column("record_base_rate", DOUBLE_PRECISION(), "the same of all sessions on which it could speak"),
    _column("record_n", sa.Integer(), "earlier signals whose 63 sessions had closed before the signal's session"),
    _column("verdict", sa.Text(), "of the rule, as known before the signal's year"),
    _column("computed_at", sa.DateTime(timezone=True), "when the row last changed", server_default=NOW),
    _among("verdict", VERDICTS, "verdict_known"),
    *_within(0, 1, "record_hit_rate", "record_base_rate"),
    sa.CheckConstraint("record_n > 0", name="record_n_positive"),
    comment="What a rule's record was when it gave a signal; no row where it was too short",
)


def _followed() -> "list[sa.Column[Any]]":
    return [
        _column("universe", sa.Text(), "name of the universe", primary_key=True),
        _column("rule", sa.Text(), "the rule that is followed", primary_key=True),
    ]


def _thresholds() -> "sa.Column[Any]":
    return _column(
        "thresholds", sa.Text(), "fixed; walk forward: chosen each year by the years before", primary_key=True
    )


_EARNED = {
    "exposure": "mean share in the market",
    "turnover": "a year, in units of the portfolio",
    "cagr": "growth of a year, compounded, after costs; a fraction",
    "volatility": "standard deviation of a year's returns",
    "sharpe": "Sharpe ratio of a year",
    "sortino": "Sortino ratio of a year",
    "calmar": "cagr over the deepest fall",
}
_DRAWN = {
    "peak_session": "the highest close before the deepest fall; null: none since the start was higher",
    "trough_session": "its lowest close",
    "recovered_session": "when wealth was back at the peak; null: not yet",
}
_BY_CHANCE = {
    f"{figure}_{name}": about.format(figure)
    for figure in ("cagr", "sharpe", "max_drawdown")
    for name, about in (
        ("p05", "5th percentile of the {} of 1,000 runs at random times"),
        ("random", "median of the {} of these runs"),
        ("p95", "95th percentile of the {} of these runs"),
        ("as_good", "share of these runs, the rule's own among them, whose {} is as good"),
    )
}
_AS_GOOD = [name for name in _BY_CHANCE if name.endswith("as_good")]

backtests = sa.Table(
    "backtests",
    metadata,
    *_followed(),
    _thresholds(),
    _column("portfolio", sa.Text(), "rule, or what is held beside it", primary_key=True),
    _column("cost", DOUBLE_PRECISION(), "basis points of what changes hands", primary_key=True),
    _column("held", sa.Text(), "what is traded or held; null: nothing was", nullable=True),
    _column("basis", sa.Text(), "what its returns are made of", nullable=True),
    _column("cash", sa.Text(), "what is earned outside the market", nullable=True),
    _column("first_session", sa.Date(), "the first session of the report", nullable=True),
    _column("last_session", sa.Date(), "the last one", nullable=True),
    _column("trades", sa.Integer(), "how many there are; null but of the rule at its own cost", nullable=True),
    *[_number(name, about) for name, about in _EARNED.items()],
    _number("max_drawdown", "the deepest fall from the highest close so far, 0 or less"),
    *[_column(name, sa.Date(), about, nullable=True) for name, about in _DRAWN.items()],
    _number("hit_rate", "sessions that earned more than cash, of those that earned something else"),
    _number("profit_factor", "gains over losses of sessions, both against cash"),
    *[_number(name, about) for name, about in _BY_CHANCE.items()],
    _column("reason", sa.Text(), "why there is no backtest; null: there is one", nullable=True),
    _column("computed_at", sa.DateTime(timezone=True), "when the row last changed", server_default=NOW),
    _among("thresholds", THRESHOLD_KINDS, "thresholds_known"),
    _among("portfolio", PORTFOLIOS, "portfolio_known"),
    _among("basis", BASES, "basis_known"),
    _among("cash", CASH, "cash_known"),
    sa.CheckConstraint("(reason IS NULL) = (cagr IS NOT NULL)", name="says_why_not"),
    sa.CheckConstraint("first_session <= last_session", name="in_order"),
    *_not_negative("cost", "trades", "exposure", "turnover", "volatility", "profit_factor"),
    *_within(-1, 0, "max_drawdown"),
    *_within(0, 1, "hit_rate", *_AS_GOOD),
    *_finite("cagr", "sharpe", "sortino", "calmar", *(name for name in _BY_CHANCE if name not in _AS_GOOD)),
    comment="What following each rule was worth after costs, beside holding and beside random entries",
)

backtest_trades = sa.Table(
    "backtest_trades",
    metadata,
    *_followed(),
    _thresholds(),
    _column("entry_session", sa.Date(), "at whose close it began", primary_key=True),
    _column("exit_session", sa.Date(), "at whose close it ended; null: it is open", nullable=True),
    _column("sessions", sa.Integer(), "how many it lasted so far"),
    _column("weight", DOUBLE_PRECISION(), "share in the market meanwhile"),
    _column("market", DOUBLE_PRECISION(), "the market's return meanwhile, a fraction"),
    _column("return", DOUBLE_PRECISION(), "what it added to doing nothing, after its costs"),
    _column("signal_id", sa.Text(), "the signal that began it, in market_signals"),
    _column("signals", sa.Integer(), "how many signals set it"),
    _column("computed_at", sa.DateTime(timezone=True), "when the row last changed", server_default=NOW),
    _among("thresholds", THRESHOLD_KINDS, "thresholds_known"),
    sa.CheckConstraint("exit_session > entry_session", name="in_order"),
    sa.CheckConstraint("sessions > 0 AND signals > 0", name="counts_positive"),
    *_not_negative("weight"),
    *_finite("market", "return"),
    comment="Trades of the backtests, each with the signal that began it",
)

backtest_years = sa.Table(
    "backtest_years",
    metadata,
    *_followed(),
    _column("year", sa.Integer(), "the year that is traded", primary_key=True, autoincrement=False),
    _column("threshold", DOUBLE_PRECISION(), "in the market from this value of the score on"),
    _column("sample_from", sa.Date(), "the first session that chose it"),
    _column("sample_to", sa.Date(), "the last one, an embargo before the year"),
    _number("in_sample", "Sharpe ratio that it was chosen by; of the years before, and no result"),
    _number("out_of_sample", "Sharpe ratio of the year"),
    _column("computed_at", sa.DateTime(timezone=True), "when the row last changed", server_default=NOW),
    sa.CheckConstraint("sample_from < sample_to", name="in_order"),
    *_finite("in_sample", "out_of_sample"),
    comment="Thresholds of scores that walk-forward backtests chose, each year by the years before",
)


_ADDED_UP = {
    "signals": "signals whose window closed in the month",
    "hits": "those right: a buy beat the mean of its session's members, a sell trailed it; else those above",
    "expected": "hits that as many of any members of the same sessions had",
    "relative": "sum of their returns less the mean of their session's members",
    "confidence": "sum of their confidence; 0 of what has none",
    "missed": "sum of squares of confidence less hit (1) or miss (0); 0 of what has no confidence",
    "signals_squared": "sum over sessions of the square of their number",
    "lift_squared": "sum over sessions of the square of hits less expected",
    "lift_signals": "sum over sessions of hits less expected, times their number",
    "relative_squared": "sum over sessions of the square of relative",
    "relative_signals": "sum over sessions of relative, times their number",
}

symbol_calibration = sa.Table(
    "symbol_calibration",
    metadata,
    _column("universe", sa.Text(), "name of the universe", primary_key=True),
    _column("month", sa.Date(), "first day of the month in which the windows closed", primary_key=True),
    _horizon(),
    _column("rule", sa.Text(), "combined: what the rules say together; or one rule, by its vote", primary_key=True),
    _column("action", sa.Text(), "what it said: buy, sell or hold; all: whatever it said", primary_key=True),
    _column("grouped_by", sa.Text(), "all: not at all; else confidence or strength", primary_key=True),
    _column(
        "bin",
        sa.Integer(),
        "tenth of confidence, 0 to 9, or of the session's strengths, 1 (weakest) to 10; 0: not grouped",
        primary_key=True,
        autoincrement=False,
    ),
    _column("sessions", sa.Integer(), "sessions with such signals"),
    *[_column(name, DOUBLE_PRECISION(), about) for name, about in _ADDED_UP.items()],
    _column("computed_at", sa.DateTime(timezone=True), "when the row last changed", server_default=NOW),
    _horizons(),
    _among("action", (*ACTIONS, WHOLE), "action_known"),
    _among("grouped_by", GROUPINGS, "grouping_known"),
    *_within(0, 10, "bin"),
    sa.CheckConstraint("extract(day FROM month) = 1", name="month_first_day"),
    sa.CheckConstraint("sessions > 0 AND signals >= sessions", name="not_empty"),
    sa.CheckConstraint("hits BETWEEN 0 AND signals", name="hits_signals"),
    *_finite("relative", "relative_squared", "relative_signals"),
    comment="What followed symbol signals, as sums by month that add up; breadthflow calibration divides them",
)

symbol_accuracy = sa.Table(
    "symbol_accuracy",
    metadata,
    _column("universe", sa.Text(), "name of the universe", primary_key=True),
    _horizon(),
    _column("rule", sa.Text(), "combined: what the rules say together; or one rule, by its vote", primary_key=True),
    _column("action", sa.Text(), "what it said: buy, sell or hold; all: whatever it said", primary_key=True),
    _column("grouped_by", sa.Text(), "all: not at all; else confidence or strength", primary_key=True),
    _column("bin", sa.Integer(), "as in symbol_calibration", primary_key=True, autoincrement=False),
    _column("signals", sa.BigInteger(), "signals whose window has closed"),
    _column("sessions", sa.Integer(), "sessions with such signals"),
    _number("hit_rate", "share of them that were right; null of holds"),
    _number("base_rate", "the same of all members of the same sessions"),
    _number("lift", "hit_rate less base_rate"),
    _number("lift_error", "its standard error, sessions as clusters"),
    _number("relative", "mean return less that of the session's members, a fraction"),
    _number("relative_error", "its standard error, sessions as clusters"),
    _number("confidence", "mean of what was said; of what the rules say together"),
    _number("brier", "mean squared miss of confidence, as if it were a probability"),
    _number("brier_base", "that of always saying the base rate"),
    _number("skill", "1 - brier / brier_base"),
    _column("windows", sa.Integer(), "windows that do not overlap; null: nothing was claimed", nullable=True),
    _number("p", "how often chance gives as high a lift"),
    _number("p_family", "the same, of all claims of the universe at once (Holm)"),
    _column("verdict", sa.Text(), "of a registered claim; null: none", nullable=True),
    _column("reason", sa.Text(), "why it cannot be judged", nullable=True),
    _column("computed_at", sa.DateTime(timezone=True), "when the row last changed", server_default=NOW),
    _horizons(),
    _among("action", (*ACTIONS, WHOLE), "action_known"),
    _among("grouped_by", GROUPINGS, "grouping_known"),
    _among("verdict", VERDICTS, "verdict_known"),
    *_within(0, 10, "bin"),
    *_within(0, 1, "hit_rate", "base_rate", "confidence", "p", "p_family"),
    sa.CheckConstraint("sessions > 0 AND signals >= sessions", name="not_empty"),
    *_finite("lift", "lift_error", "relative", "relative_error", "brier", "brier_base", "skill"),
    comment="How good symbol signals have been, by rule, confidence and strength, beside others of their sessions",
)

symbol_records = sa.Table(
    "symbol_records",
    metadata,
    _column("universe", sa.Text(), "name of the universe", primary_key=True),
    _column("month", sa.Date(), "first day of the month of the signals", primary_key=True),
    _column("rule", sa.Text(), "combined: what the rules say together; or one rule, by its vote", primary_key=True),
    _column("action", sa.Text(), "buy or sell", primary_key=True),
    _column("record_hit_rate", DOUBLE_PRECISION(), "share of earlier signals that beat (sell: trailed) their universe"),
    _column("record_base_rate", DOUBLE_PRECISION(), "the same of all members of the same sessions"),
    _column("record_n", sa.BigInteger(), "earlier signals of all members whose 63 sessions closed before the month"),
    _column("verdict", sa.Text(), "as known before the month"),
    _column("computed_at", sa.DateTime(timezone=True), "when the row last changed", server_default=NOW),
    _among("action", ACTIONS[:2], "action_known"),
    _among("verdict", VERDICTS, "verdict_known"),
    *_within(0, 1, "record_hit_rate", "record_base_rate"),
    sa.CheckConstraint("record_n > 0", name="record_n_positive"),
    sa.CheckConstraint("extract(day FROM month) = 1", name="month_first_day"),
    comment="The record of symbol signals before each month, by rule and action; no row where it was too short",
)

breadth_revisions = sa.Table(
    "breadth_revisions",
    metadata,
    _column("relation", sa.Text(), "the table it was in", primary_key=True),
    *_key(),
    _column("known_from", sa.DateTime(timezone=True), "since when the store said so"),
    _column("known_to", sa.DateTime(timezone=True), "when the store changed or removed it", primary_key=True),
    _column("row", JSONB(), "the whole row as it was"),
    comment="Rows of counts, published counts and indicators that were changed or removed: what was known when",
)

signal_revisions = sa.Table(
    "signal_revisions",
    metadata,
    _column("relation", sa.Text(), "the table it was in", primary_key=True),
    _column("signal_id", sa.Text(), "the signal", primary_key=True),
    _column("universe", sa.Text(), "name of the universe"),
    _column("session", sa.Date(), "the signal's"),
    _column("known_from", sa.DateTime(timezone=True), "since when the store said so"),
    _column("known_to", sa.DateTime(timezone=True), "when the store changed or removed it", primary_key=True),
    _column("row", JSONB(), "the whole row as it was"),
    comment="Market signals and the records beside them that were changed or removed: what was known when",
)
