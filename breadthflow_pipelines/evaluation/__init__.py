"""Signals in; what came of them out, beside what chance would have given. Pure."""
