"""The version of the conventions behind every stored number, and what that version stands for. Computes nothing."""

CONVENTION = 3
"""Stored with each count, indicator and signal; raised whenever a definition changes, so that old values stay readable.

1: direction is the exact sign of the close against the previous exchange session's; a first bar (no_prior) and a bar
   after a missed session (gap) are counted apart, never as unchanged. Windows count a security's own bars; membership
   masks only when counting. New highs and lows are strict against the prior 252 bars' high and low. Zweig and McClellan
   ratios divide by advances + declines. Trends are stored as alpha, start at the first value, skip nulls and are
   published from a seed weight of 0.001 on. Prices as stored (split-adjusted), volume in shares.
2: as 1; windows hold observations, so a session that says nothing leaves them alone as it does a recursion; published
   counts pass guards first, and their volumes are in shares whatever unit the exchange wrote.
3: as 2; a security that has no bar for more than LONGEST_SILENCE days begins anew with the next one, which is a first
   bar (no_prior): no window and no recursion of its own reaches across.
"""

LONGEST_SILENCE = 183
"""Calendar days, half a year: a symbol that comes back later may be another company's.

The longest silence of 604 stocks from 2006 to 2017 is 90 days (DYN 2012), so nothing of theirs depends on it.
"""
