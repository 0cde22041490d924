"""The version of the conventions behind every stored number, and the meaning of each version. Computes nothing."""

CONVENTION = 3
"""Stored with each count, indicator and signal; raised whenever a definition changes, so that old values stay readable.

1: direction is the exact sign of the close against the previous exchange session's; a first bar (no_prior) and a bar
   after a missed session (gap) are counted apart, never as unchanged. Windows count a security's own bars; membership
   masks only when counting. New highs and lows are strict against the prior 252 bars' high and low. Zweig and McClellan
   ratios divide by advances + declines. Trends are stored as alpha, start at the first value, skip nulls and are
   published from a seed weight of 0.001 on. Prices as stored (split-adjusted), volume in shares.
2: as 1; windows hold observations, so that an unknown session affects neither them nor a recursion; published
   counts pass guards first, and their volumes are in shares whatever unit the exchange wrote.
3: as 2; after more than LONGEST_SILENCE days without a bar, a security starts a new history: its next bar is a first
   bar (no_prior), and no window and no recursion of its own reaches across.
"""

LONGEST_SILENCE = 183
"""Calendar days, half a year: a symbol that returns later may belong to another company.

The longest silence of 604 stocks from 2006 to 2017 is 90 days (DYN 2012), so none of their figures depends on it.
"""
