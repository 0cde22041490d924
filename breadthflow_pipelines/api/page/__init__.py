"""The live page: views of what the store says, templates, and what they are shown with. Routes are in routes/page.py.

Sections that the page of a whole history has as well come from reports/page/, charts and their style included.
"""
