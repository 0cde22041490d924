"""The assets, in the order in which data flow through them: market, breadth, signals."""
