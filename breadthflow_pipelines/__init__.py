"""BreadthFlow: a market-breadth pipeline, from daily bars to signals that can be explained."""

__version__ = "0.1.0"
