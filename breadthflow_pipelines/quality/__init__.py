"""What is expected of the stored tables, as suites, and Great Expectations, which judges them in the database.

``expectations`` has the kinds; ``market_suites``, ``breadth_suites`` and ``member_suites`` have the suites of tables,
and ``suites`` lists them. None of these knows a tool. ``engine`` is the only module that imports Great Expectations,
which takes seconds: import ``engine`` only where a suite is run.
"""
