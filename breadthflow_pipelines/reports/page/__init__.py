"""The page of a universe: one HTML file with today's state, charts, evidence, and what is known of the data's faults.

Takes frames, gives text; where the frames come from and where the page goes is publishing/. Script and style are
charts.js, evidence.js, page.js and page.css beside these modules.
"""
