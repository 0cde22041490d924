"""What is made of what, of the tables that are cut by month: a change in one makes the others due (recomputations.py).

Indicators and signals of the market are not here: they are recomputed from all of history in every run.
"""

_OF_SOUND_BARS = ("breadth_counts", "price_indicators", "symbol_signals")
MADE_OF = {
    "bars": ("quarantined_bars", *_OF_SOUND_BARS),
    "quarantined_bars": _OF_SOUND_BARS,
    "universe_members": _OF_SOUND_BARS,
    "securities": ("breadth_counts",),  # by sector
    "calendar": ("quarantined_bars", *_OF_SOUND_BARS),  # which session was the one before
}
