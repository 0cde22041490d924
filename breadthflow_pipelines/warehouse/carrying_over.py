"""What a store that is put away knows better than the backup that takes its place: who must not come back.

Tokens that were revoked stay revoked, and names that were erased stay erased. Whatever else is newer there stays there.
"""

from contextlib import closing
from dataclasses import dataclass

from breadthflow_pipelines.warehouse import privacy, token_store
from breadthflow_pipelines.warehouse.database import Database, connect, table_names

_WHY = "as before the store was restored"


@dataclass(frozen=True)
class CarriedOver:
    """How many tokens were revoked again, and how many names were erased again."""

    tokens: int = 0
    names: int = 0


def carry_over(before: str, restored: str) -> CarriedOver:
    """Revoke and erase in a restored store what was in the one before it. Both are addresses; either may be older."""
    tables = table_names(Database(before, None)) & table_names(Database(restored, None))
    with (
        closing(connect(before)) as past,
        closing(connect(restored)) as present,
        present,
        past.cursor() as said,
        present.cursor() as cursor,
    ):
        tokens = token_store.revoke_again(cursor, token_store.revocations(said), _WHY) if "api_tokens" in tables else 0
        erased = privacy.erased_between(cursor, said, tables)
        for name, pseudonym in erased.items():
            privacy.replace(cursor, name, pseudonym, tables, _WHY)
    return CarriedOver(tokens, len(erased))
