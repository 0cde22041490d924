"""The page of a universe: one HTML file with today's state, charts, evidence, and what is known of the data's faults.

Takes frames, gives text; where the frames come from and where the page goes is publishing/. Script and style are
page.js, evidence.js and page.css beside these modules.
"""
