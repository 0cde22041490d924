"""Whoever watches hears of progress, within the block that watches and nowhere else."""

import pytest

from breadthflow_pipelines.observability.progress import advance, watched_by

Heard = list[tuple[str, float, str]]


def test_watcher_hears_what_is_said_in_its_block_only() -> None:
    heard: Heard = []
    advance("bars", 0.1)
    with watched_by(lambda *said: heard.append(said)):
        advance("bars", 0.5, "through 2024-01-02")
    advance("bars", 1.0)
    assert heard == [("bars", 0.5, "through 2024-01-02")]


def test_inner_watcher_hears_instead_of_the_outer_one() -> None:
    inner: Heard = []
    outer: Heard = []
    with watched_by(lambda *said: outer.append(said)):
        with watched_by(lambda *said: inner.append(said)):
            advance("counts", 0.2)
        advance("counts", 0.4)
    assert (inner, outer) == ([("counts", 0.2, "")], [("counts", 0.4, "")])


def test_watcher_is_let_go_when_its_block_fails() -> None:
    heard: Heard = []
    with pytest.raises(KeyError), watched_by(lambda *said: heard.append(said)):
        raise KeyError("surprise")
    advance("bars", 1.0)
    assert heard == []
