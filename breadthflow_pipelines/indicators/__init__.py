"""The mathematics of breadth: frames in, frames out. Knows no store, no orchestrator, no clock."""
