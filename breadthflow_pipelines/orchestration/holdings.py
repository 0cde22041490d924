"""What backtests trade, as the store has it. Imports no Dagster, so that a command can ask without a run."""

import polars as pl

from breadthflow_pipelines.evaluation.returns import levels
from breadthflow_pipelines.model.vocabulary import ALL
from breadthflow_pipelines.warehouse import evaluation_store
from breadthflow_pipelines.warehouse.database import Database

MEMBERS, INDEX = "members in equal parts", "index"


def traded(store: Database) -> pl.DataFrame:
    """LEVEL_SCHEMA of every universe as a whole with returns of members or an index; held: which of the two."""
    returns = evaluation_store.returns(store, ALL)
    counted = pl.col("universe").is_in(returns["universe"].unique().to_list())
    held = pl.when(counted).then(pl.lit(MEMBERS)).otherwise(pl.lit(INDEX))
    return levels(returns, evaluation_store.published_indexes(store)).with_columns(held=held)
