"""Which published counts stand beside which counted universe, and why none stand beside the others."""

from collections.abc import Mapping
from typing import NamedTuple

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.universe_listing import made_of_bars, published

_SETTING = "BREADTHFLOW_PUBLISHED_BESIDE"


class Beside(NamedTuple):
    """pairs: by counted universe, the exchange. missing: what cannot be compared, and why, in sentences."""

    pairs: Mapping[str, str]
    missing: list[str]


def published_beside(settings: Settings, store: Database) -> Beside:
    """What the settings name, as far as the store has both."""
    counted, exchanges = made_of_bars(store), published(store)
    pairs, missing = {}, []
    for universe, exchange in settings.published_beside.items():
        if universe not in counted:
            known = f"there are: {', '.join(counted)}" if counted else "there are none"
            missing.append(f"{_SETTING} names {universe}, which is not counted from members; {known}.")
        elif exchange not in exchanges:
            missing.append(
                f"{_SETTING} names {exchange} beside {universe}, and the store has no published counts of it: "
                f"breadthflow import-breadth DIR --exchange {exchange}"
            )
        else:
            pairs[universe] = exchange
    alone = [universe for universe in counted if universe not in settings.published_beside]
    if alone:
        missing.append(
            f"kept_published of {', '.join(alone)} is unknown: no published counts stand beside. If an exchange "
            f"publishes counts of the same issues, name it, as in {_SETTING}={alone[0]}=NYSE."
        )
    return Beside(pairs, missing)


def refuse_counted(store: Database, exchange: str) -> None:
    """Refuse published counts under the name of a universe that is counted from members: a name is one universe.

    Raises:
        RequestError: it has that name; says how both can stand.
    """
    if exchange in made_of_bars(store):
        raise RequestError(
            f"{exchange} is counted from members, so published counts cannot have that name. Give the universe another "
            f"one in its file, in a BREADTHFLOW_HOME of its own, and set {_SETTING}={exchange}_members={exchange}."
        )


def refuse_published(store: Database, universes: list[str]) -> None:
    """Refuse universes of members under the name of an exchange of which there are published counts.

    Raises:
        RequestError: one has that name; says how both can stand.
    """
    for universe in sorted({*universes} & {*published(store)}):
        raise RequestError(
            f"{universe} has published counts, so members cannot be a universe of that name. Name it otherwise in the "
            f"universe file, and set {_SETTING}={universe}_members={universe} to have both compared."
        )
