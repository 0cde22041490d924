"""What following each rule was worth, its trades, and the thresholds that were chosen."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The next run fills the tables."""
    op.create_table(
        "backtest_trades",
        sa.Column("universe", sa.Text(), nullable=False, comment="name of the universe"),
        sa.Column("rule", sa.Text(), nullable=False, comment="the rule that is followed"),
        sa.Column(
            "thresholds", sa.Text(), nullable=False, comment="fixed; walk forward: chosen each year by the years before"
        ),
        sa.Column("entry_session", sa.Date(), nullable=False, comment="at whose close it began"),
        sa.Column("exit_session", sa.Date(), nullable=True, comment="at whose close it ended; null: it is open"),
        sa.Column("sessions", sa.Integer(), nullable=False, comment="how many it lasted so far"),
        sa.Column("weight", sa.DOUBLE_PRECISION(), nullable=False, comment="share in the market meanwhile"),
        sa.Column("market", sa.DOUBLE_PRECISION(), nullable=False, comment="the market's return meanwhile, a fraction"),
        sa.Column(
            "return", sa.DOUBLE_PRECISION(), nullable=False, comment="what it added to doing nothing, after its costs"
        ),
        sa.Column("signal_id", sa.Text(), nullable=False, comment="the signal that began it, in market_signals"),
        sa.Column("signals", sa.Integer(), nullable=False, comment="how many signals set it"),
        sa.Column(
            "computed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the row last changed",
        ),
        sa.CheckConstraint("market > '-Infinity' AND market < 'Infinity'", name=op.f("backtest_trades_market_finite")),
        sa.CheckConstraint("return > '-Infinity' AND return < 'Infinity'", name=op.f("backtest_trades_return_finite")),
        sa.CheckConstraint("thresholds IN ('fixed', 'walk forward')", name=op.f("backtest_trades_thresholds_known")),
        sa.CheckConstraint("exit_session > entry_session", name=op.f("backtest_trades_in_order")),
        sa.CheckConstraint("sessions > 0 AND signals > 0", name=op.f("backtest_trades_counts_positive")),
        sa.CheckConstraint("weight >= 0", name=op.f("backtest_trades_weight_not_negative")),
        sa.PrimaryKeyConstraint("universe", "rule", "thresholds", "entry_session", name=op.f("backtest_trades_pkey")),
        comment="Trades of the backtests, each with the signal that began it",
    )
    op.create_table(
        "backtest_years",
        sa.Column("universe", sa.Text(), nullable=False, comment="name of the universe"),
        sa.Column("rule", sa.Text(), nullable=False, comment="the rule that is followed"),
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False, comment="the year that is traded"),
        sa.Column(
            "threshold", sa.DOUBLE_PRECISION(), nullable=False, comment="in the market from this value of the score on"
        ),
        sa.Column("sample_from", sa.Date(), nullable=False, comment="the first session that chose it"),
        sa.Column("sample_to", sa.Date(), nullable=False, comment="the last one, an embargo before the year"),
        sa.Column(
            "in_sample",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Sharpe ratio that it was chosen by; of the years before, and no result",
        ),
        sa.Column("out_of_sample", sa.DOUBLE_PRECISION(), nullable=True, comment="Sharpe ratio of the year"),
        sa.Column(
            "computed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the row last changed",
        ),
        sa.CheckConstraint(
            "in_sample > '-Infinity' AND in_sample < 'Infinity'", name=op.f("backtest_years_in_sample_finite")
        ),
        sa.CheckConstraint(
            "out_of_sample > '-Infinity' AND out_of_sample < 'Infinity'",
            name=op.f("backtest_years_out_of_sample_finite"),
        ),
        sa.CheckConstraint("sample_from < sample_to", name=op.f("backtest_years_in_order")),
        sa.PrimaryKeyConstraint("universe", "rule", "year", name=op.f("backtest_years_pkey")),
        comment="Thresholds of scores that walk-forward backtests chose, each year by the years before",
    )
    op.create_table(
        "backtests",
        sa.Column("universe", sa.Text(), nullable=False, comment="name of the universe"),
        sa.Column("rule", sa.Text(), nullable=False, comment="the rule that is followed"),
        sa.Column(
            "thresholds", sa.Text(), nullable=False, comment="fixed; walk forward: chosen each year by the years before"
        ),
        sa.Column("portfolio", sa.Text(), nullable=False, comment="rule, or what is held beside it"),
        sa.Column("cost", sa.DOUBLE_PRECISION(), nullable=False, comment="basis points of what changes hands"),
        sa.Column("held", sa.Text(), nullable=True, comment="what is traded or held; null: nothing was"),
        sa.Column("basis", sa.Text(), nullable=True, comment="what its returns are made of"),
        sa.Column("cash", sa.Text(), nullable=True, comment="what is earned outside the market"),
        sa.Column("first_session", sa.Date(), nullable=True, comment="the first session of the report"),
        sa.Column("last_session", sa.Date(), nullable=True, comment="the last one"),
        sa.Column(
            "trades", sa.Integer(), nullable=True, comment="how many there are; null but of the rule at its own cost"
        ),
        sa.Column("exposure", sa.DOUBLE_PRECISION(), nullable=True, comment="mean share in the market"),
        sa.Column("turnover", sa.DOUBLE_PRECISION(), nullable=True, comment="a year, in units of the portfolio"),
        sa.Column(
            "cagr",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="growth of a year, compounded, after costs; a fraction",
        ),
        sa.Column("volatility", sa.DOUBLE_PRECISION(), nullable=True, comment="standard deviation of a year's returns"),
        sa.Column("sharpe", sa.DOUBLE_PRECISION(), nullable=True, comment="Sharpe ratio of a year"),
        sa.Column("sortino", sa.DOUBLE_PRECISION(), nullable=True, comment="Sortino ratio of a year"),
        sa.Column("calmar", sa.DOUBLE_PRECISION(), nullable=True, comment="cagr over the deepest fall"),
        sa.Column(
            "max_drawdown",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="the deepest fall from the highest close so far, 0 or less",
        ),
        sa.Column(
            "peak_session",
            sa.Date(),
            nullable=True,
            comment="the highest close before the deepest fall; null: none since the start was higher",
        ),
        sa.Column("trough_session", sa.Date(), nullable=True, comment="its lowest close"),
        sa.Column(
            "recovered_session", sa.Date(), nullable=True, comment="when wealth was back at the peak; null: not yet"
        ),
        sa.Column(
            "hit_rate", sa.DOUBLE_PRECISION(), nullable=True, comment="sessions with a gain, of those with a change"
        ),
        sa.Column("profit_factor", sa.DOUBLE_PRECISION(), nullable=True, comment="gains over losses, of sessions"),
        sa.Column(
            "cagr_p05",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="5th percentile of the cagr of 1,000 runs at random times",
        ),
        sa.Column("cagr_random", sa.DOUBLE_PRECISION(), nullable=True, comment="median of the cagr of these runs"),
        sa.Column(
            "cagr_p95", sa.DOUBLE_PRECISION(), nullable=True, comment="95th percentile of the cagr of these runs"
        ),
        sa.Column(
            "cagr_as_good",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="share of these runs, the rule's own among them, whose cagr is as good",
        ),
        sa.Column(
            "sharpe_p05",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="5th percentile of the sharpe of 1,000 runs at random times",
        ),
        sa.Column("sharpe_random", sa.DOUBLE_PRECISION(), nullable=True, comment="median of the sharpe of these runs"),
        sa.Column(
            "sharpe_p95", sa.DOUBLE_PRECISION(), nullable=True, comment="95th percentile of the sharpe of these runs"
        ),
        sa.Column(
            "sharpe_as_good",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="share of these runs, the rule's own among them, whose sharpe is as good",
        ),
        sa.Column(
            "max_drawdown_p05",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="5th percentile of the max_drawdown of 1,000 runs at random times",
        ),
        sa.Column(
            "max_drawdown_random",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="median of the max_drawdown of these runs",
        ),
        sa.Column(
            "max_drawdown_p95",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="95th percentile of the max_drawdown of these runs",
        ),
        sa.Column(
            "max_drawdown_as_good",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="share of these runs, the rule's own among them, whose max_drawdown is as good",
        ),
        sa.Column("reason", sa.Text(), nullable=True, comment="why there is no backtest; null: there is one"),
        sa.Column(
            "computed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the row last changed",
        ),
        sa.CheckConstraint(
            "basis IN ('total return', 'price', 'partly total return')", name=op.f("backtests_basis_known")
        ),
        sa.CheckConstraint("cagr > '-Infinity' AND cagr < 'Infinity'", name=op.f("backtests_cagr_finite")),
        sa.CheckConstraint("cagr_p05 > '-Infinity' AND cagr_p05 < 'Infinity'", name=op.f("backtests_cagr_p05_finite")),
        sa.CheckConstraint("cagr_p95 > '-Infinity' AND cagr_p95 < 'Infinity'", name=op.f("backtests_cagr_p95_finite")),
        sa.CheckConstraint(
            "cagr_random > '-Infinity' AND cagr_random < 'Infinity'", name=op.f("backtests_cagr_random_finite")
        ),
        sa.CheckConstraint("calmar > '-Infinity' AND calmar < 'Infinity'", name=op.f("backtests_calmar_finite")),
        sa.CheckConstraint(
            "cash IN ('nothing', 'a rate in part of the time', 'the risk-free rate')", name=op.f("backtests_cash_known")
        ),
        sa.CheckConstraint(
            "max_drawdown_p05 > '-Infinity' AND max_drawdown_p05 < 'Infinity'",
            name=op.f("backtests_max_drawdown_p05_finite"),
        ),
        sa.CheckConstraint(
            "max_drawdown_p95 > '-Infinity' AND max_drawdown_p95 < 'Infinity'",
            name=op.f("backtests_max_drawdown_p95_finite"),
        ),
        sa.CheckConstraint(
            "max_drawdown_random > '-Infinity' AND max_drawdown_random < 'Infinity'",
            name=op.f("backtests_max_drawdown_random_finite"),
        ),
        sa.CheckConstraint(
            "portfolio IN ('rule', 'buy and hold', 'same exposure', 'benchmark')",
            name=op.f("backtests_portfolio_known"),
        ),
        sa.CheckConstraint("sharpe > '-Infinity' AND sharpe < 'Infinity'", name=op.f("backtests_sharpe_finite")),
        sa.CheckConstraint(
            "sharpe_p05 > '-Infinity' AND sharpe_p05 < 'Infinity'", name=op.f("backtests_sharpe_p05_finite")
        ),
        sa.CheckConstraint(
            "sharpe_p95 > '-Infinity' AND sharpe_p95 < 'Infinity'", name=op.f("backtests_sharpe_p95_finite")
        ),
        sa.CheckConstraint(
            "sharpe_random > '-Infinity' AND sharpe_random < 'Infinity'", name=op.f("backtests_sharpe_random_finite")
        ),
        sa.CheckConstraint("sortino > '-Infinity' AND sortino < 'Infinity'", name=op.f("backtests_sortino_finite")),
        sa.CheckConstraint("thresholds IN ('fixed', 'walk forward')", name=op.f("backtests_thresholds_known")),
        sa.CheckConstraint("(reason IS NULL) = (cagr IS NOT NULL)", name=op.f("backtests_says_why_not")),
        sa.CheckConstraint("cagr_as_good BETWEEN 0 AND 1", name=op.f("backtests_cagr_as_good_range")),
        sa.CheckConstraint("cost >= 0", name=op.f("backtests_cost_not_negative")),
        sa.CheckConstraint("exposure >= 0", name=op.f("backtests_exposure_not_negative")),
        sa.CheckConstraint("first_session <= last_session", name=op.f("backtests_in_order")),
        sa.CheckConstraint("hit_rate BETWEEN 0 AND 1", name=op.f("backtests_hit_rate_range")),
        sa.CheckConstraint("max_drawdown BETWEEN -1 AND 0", name=op.f("backtests_max_drawdown_range")),
        sa.CheckConstraint("max_drawdown_as_good BETWEEN 0 AND 1", name=op.f("backtests_max_drawdown_as_good_range")),
        sa.CheckConstraint("profit_factor >= 0", name=op.f("backtests_profit_factor_not_negative")),
        sa.CheckConstraint("sharpe_as_good BETWEEN 0 AND 1", name=op.f("backtests_sharpe_as_good_range")),
        sa.CheckConstraint("trades >= 0", name=op.f("backtests_trades_not_negative")),
        sa.CheckConstraint("turnover >= 0", name=op.f("backtests_turnover_not_negative")),
        sa.CheckConstraint("volatility >= 0", name=op.f("backtests_volatility_not_negative")),
        sa.PrimaryKeyConstraint("universe", "rule", "thresholds", "portfolio", "cost", name=op.f("backtests_pkey")),
        comment="What following each rule was worth after costs, beside holding and beside random entries",
    )


def downgrade() -> None:
    """Everything in them is computed from other tables."""
    op.drop_table("backtests")
    op.drop_table("backtest_years")
    op.drop_table("backtest_trades")
