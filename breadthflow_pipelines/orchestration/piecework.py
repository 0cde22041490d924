"""What a piece of an asset's work is, and how another process does one: only where it is in the run's own environment.

Who hands pieces out: fanout.py and cluster.py.
"""

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Protocol, TypeVar

from breadthflow_pipelines.errors import NEXT_LINE, RequestError
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.warehouse.kept_connections import connections_kept
from breadthflow_pipelines.warehouse.pieces import piece_of, store_identity

Piece = TypeVar("Piece")  # a plain value too; messages call it what str() says
Stage = Callable[[Market, Any, Any], Any]

# Settings on which rows depend; the others say where files and addresses are, which may differ from machine to machine.
DECIDING = ("calendar", "coverage_gate", "demo_seed", "source", "start")
PACKAGES = ("breadthflow", "polars")


class Work(Protocol):
    """What is done with each piece: a plain value, which can be sent to another process together with the piece.

    stages: each is given the market, the piece, and what the stage before made of it (the first: None); only the last
    one writes, while other pieces are written side by side.
    """

    @property
    def stages(self) -> Sequence[Stage]: ...


def terms_of(market: Market) -> dict[str, str]:
    """What a worker must have in common with the run before it opens its store."""
    settings = market.settings
    embedded = f"embedded in {settings.home}" if settings.database_url is None else "at BREADTHFLOW_DATABASE_URL"
    return {
        **{f"version of {package}": version(package) for package in PACKAGES},
        **{f"BREADTHFLOW_{name.upper()}": str(getattr(settings, name)) for name in DECIDING},
        "store": embedded,
    }


@dataclass(frozen=True)
class Order:
    """What a worker is sent with each piece. run: as ``spreading`` names it. terms, store: those of the run."""

    asset: str
    work: Work
    run: str
    terms: Mapping[str, str]
    store: str

    def do(self, piece: object) -> Any:
        """Do the piece in this process, a worker, with the market of its own environment.

        Raises:
            RequestError: that market is not the run's.
        """
        with connections_kept():
            market = self._market()
            with piece_of(market.store, self.asset, self.run) as confirm:
                made = None
                *before, last = self.work.stages
                for stage in before:
                    made = stage(market, piece, made)
                confirm()
                return last(market, piece, made)

    def _market(self) -> Market:
        """The market of this process's environment, which is the run's; nothing is opened before that is likely."""
        try:
            market = Market()
            ours = terms_of(market)
            differing = [
                f"{name}: {ours[name]} there, {term} here" for name, term in self.terms.items() if ours[name] != term
            ]
            if differing:
                raise RequestError("; ".join(differing))
            if (store := store_identity(market.store)) != self.store:
                raise RequestError(f"its store is {store}, the run's {self.store}")
        except RequestError as error:
            raise RequestError(
                f"The worker on {socket.gethostname()} has another environment than this run and wrote nothing: {error}"
                f"{NEXT_LINE}start it again with the settings of the run (docs/scaling.md)."
            ) from None
        return market
