"""Asset checks, a module for each part of the data flow. A check is registered by being defined in one of them.

Each judges the months that its run is about, or all of history where the run names none. Those that protect signals
block a run, and hold whoever comes later (gates.py); the rest are reported, and the command ends with 1 where one of
severity ERROR fails. Suites of expectations on whole tables are in suite_checks.py, lateness by the clock in
freshness.py.
"""
