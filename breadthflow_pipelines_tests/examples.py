"""How many examples a test with invented data tries: its own number in `make test`, five times as many in a search."""

from hypothesis import settings

USUAL = 100  # of Hypothesis itself, where no profile says another number


def examples(count: int) -> settings:
    """So many examples, times what the profile has more than usual (conftest.py)."""
    return settings(max_examples=count * settings.default.max_examples // USUAL)  # type: ignore[union-attr]
