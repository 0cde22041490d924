"""The version of the conventions behind every stored number, and what that version stands for. Computes nothing."""

CONVENTION = 2
"""Stored with each count, indicator and signal; raised whenever a definition changes, so that old values stay readable.

1: direction is the exact sign of the close against the previous exchange session's; a first bar (no_prior) and a bar
   after a missed session (gap) are counted apart, never as unchanged. Windows count a security's own bars; membership
   masks only when counting. New highs and lows are strict against the prior 252 bars' high and low. Zweig and McClellan
   ratios divide by advances + declines. Trends are stored as alpha, start at the first value, skip nulls and are
   published from a seed weight of 0.001 on. Prices as stored (split-adjusted), volume in shares.
2: as 1; windows hold observations, so a session that says nothing leaves them alone as it does a recursion; published
   counts pass guards first, and their volumes are in shares whatever unit the exchange wrote.
"""
