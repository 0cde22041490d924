"""Words that several rooms write and read: columns, values of columns, keys of evidence. Imports nothing.

What is said once belongs where it is said. What assets are called is in datasets.py, what is counted in counts.py.
"""

# Keys of a market signal's evidence that others than its writer read.
LEVELS = "levels"  # by name, the levels that the rule was held to; of a calibrated rule, those of the year
ARMED_SESSION = "armed_session"  # the last session on which the event was armed
HELD_BACK = "held_back"  # what the rule said of a session that lost much of its coverage
