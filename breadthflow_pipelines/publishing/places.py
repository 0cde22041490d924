"""Where pages lie unless somebody names another place. Imports nothing heavy: commands say it at their end."""

from pathlib import Path
from urllib.parse import quote


def page_path(home: Path, universe: str) -> Path:
    """The page of a universe in the store's home; any name makes a single file name."""
    return home / "reports" / f"{quote(universe, safe=' ')}.html"
