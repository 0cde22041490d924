"""All indicators of every member, over the frame, against TA-Lib called symbol by symbol from pandas, as scripts do it.

Both give the same figures, which is looked at before they are timed. Ours has nine more columns than TA-Lib has
functions for. Sizes: python benchmarks/technical.py --symbols 700 --sessions 2860
"""

import argparse

import numpy as np
import pandas as pd
import polars as pl
import talib
from common import CALENDAR, attempt, in_turn, show, target
from talib import MA_Type  # type: ignore[attr-defined]

from breadthflow_pipelines.indicators.technical import indicators_and_states, technical_indicators

SAME = 1e-6  # per cent of a price
AGAIN = 21  # sessions that a daily run computes


def made_bars(symbols: int, sessions: int) -> pl.DataFrame:
    """Bars of random walks: one row for each symbol and session."""
    dice = np.random.default_rng(1969)
    days = CALENDAR.frame()["session"].tail(sessions)
    closes = 50 * np.exp(np.cumsum(dice.normal(0, 0.02, (symbols, len(days))), axis=1)).ravel()
    reach = dice.uniform(1, 1.02, (2, closes.size))
    return pl.DataFrame(
        {
            "security_id": np.repeat(np.arange(symbols), len(days)),
            "session": pl.concat([days] * symbols),
            "high": closes * reach[0],
            "low": closes / reach[1],
            "close": closes,
            "volume": dice.integers(100_000, 1_000_000, closes.size),
        }
    )


def by_symbol(bars: pd.DataFrame) -> pd.DataFrame:
    """What TA-Lib has of the catalogue, one symbol after another."""
    found = []
    for _, own in bars.groupby("security_id", sort=False):
        high, low, close = (own[name].to_numpy() for name in ("high", "low", "close"))
        volume = own["volume"].to_numpy(dtype=np.float64)
        macd, signal, histogram = talib.MACD(close, 12, 26, 9)
        upper, _, lower = talib.BBANDS(close, 20, 2, 2, MA_Type.SMA)
        slow_k, slow_d = talib.STOCH(high, low, close, 14, 3, MA_Type.SMA, 3, MA_Type.SMA)
        columns = {
            **{f"sma_{n}": talib.SMA(close, n) for n in (20, 50, 200)},
            **{f"ema_{n}": talib.EMA(close, n) for n in (20, 50, 200)},
            "rsi_14": talib.RSI(close, 14),
            "macd": macd,
            "macd_signal": signal,
            "macd_histogram": histogram,
            "bollinger_upper": upper,
            "bollinger_lower": lower,
            "atr_14": talib.ATR(high, low, close, 14),
            "obv": talib.OBV(close, volume),
            "roc_10": talib.ROC(close, 10),
            "roc_63": talib.ROC(close, 63),
            "stochastic_k": slow_k,
            "stochastic_d": slow_d,
            "adx_14": talib.ADX(high, low, close, 14),
            "plus_di_14": talib.PLUS_DI(high, low, close, 14),
            "minus_di_14": talib.MINUS_DI(high, low, close, 14),
        }
        found.append(pd.DataFrame(columns, index=own.index))
    return pd.concat(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=700)
    parser.add_argument("--sessions", type=int, default=2860)
    sizes = parser.parse_args()
    bars = made_bars(sizes.symbols, sizes.sessions)
    in_pandas = bars.to_pandas()
    ours, theirs = technical_indicators(bars), by_symbol(in_pandas)
    for name in theirs.columns:
        np.testing.assert_allclose(ours[name].to_numpy(), theirs[name].to_numpy(), rtol=SAME, atol=SAME, err_msg=name)

    days = bars["session"].unique().sort()
    last = pl.DataFrame({"security_id": bars["security_id"].unique(), "session": days[-AGAIN - 1]}).cast(
        {"security_id": pl.Int64}
    )
    _, states = indicators_and_states(bars, None, last)
    recent = bars.filter(pl.col("session") > days[-AGAIN - 253])
    size = f"{bars.height:,} bars of {sizes.symbols:,} symbols"
    medians = in_turn(
        {
            "over the frame": lambda: technical_indicators(bars),
            "TA-Lib, symbol by symbol": lambda: by_symbol(in_pandas),
            "one month, from states": lambda: technical_indicators(recent, states),
        }
    )
    show(f"Indicators of {size}; for one month of them, from kept states", medians)
    ours_seconds, theirs_seconds, _ = medians.values()
    note = "without the write, which backfill.py shows by table"
    target("catalogue of symbols, TA-Lib by ours", size, theirs_seconds / ours_seconds, ">= 1", note=note)


if __name__ == "__main__":
    with attempt("the catalogue of symbols against TA-Lib"):
        main()
