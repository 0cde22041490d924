"""How a frame is judged: a schema from rules with names, and which rows broke which. The rules are beside this file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaErrors

from breadthflow_pipelines.errors import BreadthFlowError

REASONS = "reasons"


class ContractError(BreadthFlowError):
    """A frame is not of the agreed shape, so its rows cannot be judged one by one."""


@dataclass(frozen=True)
class Verdict:
    """The rows that keep the contract, and those that do not: the same columns, and ``reasons`` (list of names)."""

    good: pl.DataFrame
    rejected: pl.DataFrame

    def by_reason(self) -> dict[str, int]:
        """How many rows each rule refused; a row that breaks two counts for both."""
        counts = self.rejected[REASONS].explode().value_counts(sort=True)
        return dict(counts.iter_rows())


def contract(
    name: str, columns: Mapping[str, pl.DataType | type[pl.DataType]], rules: Mapping[str, pl.Expr]
) -> pa.DataFrameSchema:
    """A schema with exactly these columns, whose every row must make every rule true.

    A rule is an expression under the name of the fault that it finds. It must say what it thinks of a null: a rule
    that comes out null counts as broken.
    """
    return pa.DataFrameSchema(
        {column: pa.Column(kind, nullable=True) for column, kind in columns.items()},
        checks=[pa.Check(_element(rule), name=fault, ignore_na=False) for fault, rule in rules.items()],
        strict=True,
        name=name,
    )


def or_null(rule: pl.Expr) -> pl.Expr:
    """The rule, which a null keeps."""
    return rule.fill_null(value=True)


def key_rules(*key: str) -> dict[str, pl.Expr]:
    """The rules of a key: it is there, and of one row."""
    return {
        "key missing": pl.all_horizontal(pl.col(key).is_not_null()),
        "more than one row for the key": pl.struct(key).is_unique(),
    }


def judge(schema: pa.DataFrameSchema, frame: pl.DataFrame, beside: pl.DataFrame | None = None) -> Verdict:
    """Part a frame into the rows that keep the contract and those that break it.

    beside: further columns, as high as the frame, that no rule looks at and that come along.

    Raises:
        ContractError: a column is missing, surplus or of another type; nothing can be said of the rows then.
    """
    faults: dict[str, pl.Series] = {}
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as errors:
        for error in errors.schema_errors:
            if not isinstance(error.check_output, pl.DataFrame) or error.check_output.height != frame.height:
                raise ContractError(f"{schema.name}: {str(error).splitlines()[0]}") from None
            faults[error.check.name] = ~error.check_output.to_series().fill_null(value=False)
    frame = frame if beside is None else frame.hstack(beside)
    if not faults:
        return Verdict(frame, frame.clear().with_columns(pl.Series(REASONS, [], dtype=pl.List(pl.String))))
    broken = pl.DataFrame(faults)
    named = broken.select(
        pl.concat_list(pl.when(fault).then(pl.lit(fault)) for fault in faults).list.drop_nulls().alias(REASONS)
    )
    bad = broken.select(pl.any_horizontal(pl.all())).to_series()
    return Verdict(frame.filter(~bad), frame.with_columns(named).filter(bad))


def require(schema: pa.DataFrameSchema, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame itself, if every row of it keeps the contract.

    Raises:
        ContractError: names the first broken row and how many there are.
    """
    verdict = judge(schema, frame)
    if verdict.rejected.height:
        first = verdict.rejected.row(0, named=True)
        reasons = "; ".join(first.pop(REASONS))
        raise ContractError(
            f"{schema.name}: {verdict.rejected.height} rows break the contract, first: {reasons}: {first}"
        )
    return frame


def _element(rule: pl.Expr) -> Callable[[pa.PolarsData], pl.LazyFrame]:
    return lambda data: data.lazyframe.select(rule)
