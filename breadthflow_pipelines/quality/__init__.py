"""What is expected of the stored tables, as suites, and Great Expectations, which judges them in the database.

``suites`` says what is expected and knows no tool; ``engine`` is the only module that imports Great Expectations, which
takes seconds, so whoever runs a suite imports it then and not before.
"""
