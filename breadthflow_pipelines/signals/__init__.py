"""Indicators in; buy, sell or hold out, with confidence and evidence. Pure."""
