"""What is where in the files at a path: the tables, and which symbols and sessions each of them holds.

Reads symbols and dates, never prices, and remembers what cannot be used and why. Reading bars is in files.py.
"""

import datetime as dt
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from breadthflow_pipelines.errors import RequestError, printable
from breadthflow_pipelines.locations import shown
from breadthflow_pipelines.sources import naming, parsing, tree
from breadthflow_pipelines.sources.alike import Portion, read_together
from breadthflow_pipelines.sources.layout import Layout, Options, column_index
from breadthflow_pipelines.sources.listing import Sessions
from breadthflow_pipelines.sources.protocol import Account
from breadthflow_pipelines.sources.stamp import stamp
from breadthflow_pipelines.sources.tables import Table
from breadthflow_pipelines.sources.tree import TableFile
from breadthflow_pipelines.sources.unreadable import UnreadableError, noting_failure, refusing

_CONTENTS = pl.Schema(
    {
        "table": pl.Int64,  # its number
        "written": pl.String,  # the symbol as a column spells it
        "symbol": pl.String,
        "year": pl.Int32,
        "first": pl.Date,
        "last": pl.Date,
        "opened": pl.Date,
        "closed": pl.Date,
        "rows": pl.Int64,
        "reach": pl.Date,  # the table's last session
    }
)


@dataclass
class Index:
    """What lies in the files. Tables are numbered by their file in ``tables``.

    contents: one row for each symbol and year of a table: table, written, symbol, year, first, last, opened, closed,
    rows, reach; symbol is null where it cannot be read or clashes. opened and closed are the first and the last of its
    rows that may be a bar: a whole line, on a session (listing.Sessions); null where it has none. unusable: by number
    of a table, why it cannot be used; unopened: the same of paths in which no table could be found. others: names of
    files that are not read. clashes: symbols that columns write both in capitals and in small letters, and how.
    headers: the names of all columns. unused: columns that look like ours and are not used, and in how many tables.
    """

    tables: list[TableFile] = field(default_factory=list)
    contents: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_CONTENTS))
    unusable: dict[int, str] = field(default_factory=dict)
    unopened: dict[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    clashes: dict[str, str] = field(default_factory=dict)
    account: Account = field(default_factory=Account)
    headers: set[str] = field(default_factory=set)
    unused: Counter[str] = field(default_factory=Counter)

    def problems(self, unusable: Mapping[int, str]) -> tuple[str, ...]:
        """What cannot be read, by name; unusable: of tables."""
        named = {**self.unopened, **{str(self.tables[number]): why for number, why in unusable.items()}}
        return tuple(f"{name}: {why}" for name, why in named.items())


def remembered_index(path: Path, options: Options, ignored: Collection[Path], sessions: Sessions) -> Index:
    """The index of a place, made once for as long as its files, and the day, stay as they are: a run asks twice.

    Raises:
        RequestError: as index().
    """
    key = (str(path), repr(options), sorted(map(str, ignored)), stamp(path), sessions)
    for known, found in _remembered:
        if known == key:
            return found
    found = index(path, options, ignored, sessions)
    # What could not be read may be readable next time, and its stamp need not tell.
    _remembered[:] = [] if found.unusable or found.unopened else [(key, found)]
    return found


_remembered: list[tuple[object, Index]] = []  # the last one alone: a process has one source


def index(path: Path, options: Options, ignored: Collection[Path], sessions: Sessions) -> Index:
    """Search a file or a directory for tables and find out what each of them holds.

    ignored: files that are no bars. sessions: the days on which there may be one.

    Raises:
        RequestError: there is nothing to read, or the options name a column that no table has.
    """
    found = _tables(path, ignored)
    contents: list[pl.DataFrame] = []
    named: dict[int, str] = {}
    accounts: dict[int, Account] = {}
    with tree.Reader() as reader:

        def note(number: int, layout: Layout, account: Account) -> None:
            accounts[number] = account
            found.unused.update(layout.unused)
            if layout.own_name is not None:
                named[number] = layout.own_name

        everything = read_together(reader, enumerate(found.tables), options, Portion.symbols_and_sessions)
        for portion, keys in everything:
            if keys is not None:
                contents.append(_contents_of_several(keys, sessions))
                for plain in portion.together:
                    found.headers.update(plain.names)
                    note(plain.number, plain.layout, plain.account)
                continue
            for number in portion.numbers:
                file = found.tables[number]
                with noting_failure(number, found.unusable), reader.open(file) as stream:
                    table = Table(stream, file, options)
                    found.headers.update(table.names)
                    contents.append(_contents_of_one(number, table, sessions))
                    note(number, table.layout, table.account)
    _check_columns(found, path, options)
    found.unusable.update(_ambiguous_names({number: found.tables[number] for number in named}, named))
    usable = pl.concat([found.contents, *contents]).filter(~pl.col("table").is_in(list(found.unusable)))
    if usable.is_empty():
        raise RequestError(_nothing_usable(found, path))
    found.account = sum((accounts[number] for number in accounts if number not in found.unusable), Account())
    found.clashes = _clashes(usable)
    found.contents = usable.with_columns(symbol=pl.when(~pl.col("symbol").is_in(list(found.clashes))).then("symbol"))
    return found


def _tables(path: Path, ignored: Collection[Path]) -> Index:
    """The tables at a path, none of them opened."""
    where = shown(path)
    with refusing(where, RequestError):
        found = _searched(path)
        present = [other for other in ignored if other.exists()]
    result = Index(unopened=dict(found.problems), others=tuple(found.others))
    for file in found.files:
        with noting_failure(shown(file), result.unopened):
            result.tables += tree.tables_in(file) if not any(file.samefile(other) for other in present) else []
    if not result.tables and not result.unopened:
        others = "; ".join(tree.note_of_others(result.others, "it"))
        raise RequestError(
            f"{where} holds no {', '.join(tree.ENDINGS)} file; set BREADTHFLOW_SOURCE_PATH"
            f"{f' ({others})' if others else ''}."
        )
    return result


def _searched(path: Path) -> tree.Listing:
    where = shown(path)
    if path.is_dir():
        return tree.search(path)
    if not path.exists():
        raise RequestError(f"{where} does not exist; set BREADTHFLOW_SOURCE_PATH to a file or a directory.")
    if not path.is_file() or not tree.is_table(path.name):
        raise RequestError(f"{where} is none of {', '.join(tree.ENDINGS)}; set BREADTHFLOW_SOURCE_PATH.")
    return tree.Listing([path])


def _check_columns(found: Index, path: Path, options: Options) -> None:
    """Refuse a mapping that names a column which no table and no directory has."""
    in_directories = [name for file in found.tables for name in naming.in_directories(file)]
    strangers = [
        f"{ours}={theirs}"
        for ours, theirs in options.columns.items()
        if column_index(theirs, (*found.headers, *in_directories)) is None
    ]
    if strangers and found.headers:
        raise RequestError(f"No file in {shown(path)} has the columns mapped as {', '.join(strangers)}.")


def _nothing_usable(found: Index, path: Path) -> str:
    """The message that not one file can be read, with the reason of the first."""
    where = shown(path)
    first, *others = found.problems(found.unusable)
    if not others and first.startswith(f"{where}: "):
        return f"{where} cannot be read: {first.removeprefix(f'{where}: ')}."
    return f"None of the {len(others) + 1} file(s) in {where} can be read. {first.removeprefix(f'{where}/')}."


def _contents_of_one(number: int, table: Table, sessions: Sessions) -> pl.DataFrame:
    """The rows of one table in Index.contents; rows without a date count in the year of its last session."""
    day = parsing.session_come(table.layout.zone)
    blocks = [_spans(found, sessions, day, pl.col("symbol").alias("written")) for found in table.symbols_and_sessions()]
    found = pl.concat(blocks) if blocks else pl.DataFrame()
    if found.is_empty():
        hours = "it has bars of hours or minutes, and none of a day"
        raise UnreadableError(hours if table.layout.passed_over else "it holds no rows")
    if len(blocks) > 1:
        same = found.group_by("written", "year", maintain_order=True)
        found = same.agg(
            pl.col("first", "opened").min(), pl.col("last", "closed", "latest").max(), pl.col("rows").sum()
        )
    reach = found["last"].max()
    if not isinstance(reach, dt.date):
        if isinstance(latest := found["latest"].max(), dt.date):
            raise UnreadableError(f"all of its days lie in the future, as {latest}")
        unread = table.layout.unread_day
        raise UnreadableError(f"not a single date can be read in it{f', as in {unread}' if unread else ''}")
    by_column = table.layout.by_column
    return _contents(
        found.with_columns(
            table=number,
            written="written" if by_column else None,
            symbol=parsing.spelled_column("written") if by_column else "written",
            year=pl.col("year").fill_null(reach.year),
            reach=reach,
        )
    )


def _contents_of_several(keys: pl.DataFrame, sessions: Sessions) -> pl.DataFrame:
    """The same of tables that were read together; keys has ``table`` as well. Each session is known, and has come."""
    found = _spans(keys, sessions, pl.col("session"), pl.col("table"), pl.col("symbol"))
    return _contents(found.sort("table", "year").with_columns(written=None, reach=pl.col("last").max().over("table")))


def _spans(keys: pl.DataFrame, sessions: Sessions, day: pl.Expr, *by: pl.Expr) -> pl.DataFrame:
    """From when to when there are rows, by these and by the year of ``day``. keys: symbol, session, whole of each row.

    latest: their last session, whether it has come or not. The other columns are those of Index.contents.
    """
    # Nearly always the first and the last row of a year are bars, and need not be searched for among its rows.
    found = keys.group_by(*by, year=day.dt.year()).agg(first=day.min(), last=day.max(), rows=pl.len())
    if sessions.hold(found["first"]) and sessions.hold(found["last"]) and keys["whole"].all():
        return found.with_columns(opened="first", closed="last", latest="last")
    bar, session = pl.col("bar"), pl.col("session")
    may_be_bar = sessions.include(keys["session"]) & keys["whole"]
    closer = keys.with_columns(bar=pl.when(may_be_bar).then("session")).group_by(*by, year=day.dt.year())
    return closer.agg(
        first=day.min(), last=day.max(), rows=pl.len(), opened=bar.min(), closed=bar.max(), latest=session.max()
    )


def _contents(found: pl.DataFrame) -> pl.DataFrame:
    return found.select(_CONTENTS.names()).cast(_CONTENTS)


def _clashes(contents: pl.DataFrame) -> dict[str, str]:
    """Symbols that columns write both in capitals and in small letters: nothing says whether those are one share."""
    several = contents.drop_nulls("written").group_by("symbol").agg(pl.col("written").unique().sort())
    clashing = several.filter(pl.col("written").list.len() > 1).sort("symbol")
    return {symbol: ", ".join(written) for symbol, written in clashing.iter_rows()}


def _ambiguous_names(tables: Mapping[int, TableFile], symbols: Mapping[int, str]) -> dict[int, str]:
    """Of tables that take their symbol from their name, those where the name may be no symbol: by number, and why.

    Names beside each other that differ by case only may be one share or two. Where there are more directories than
    names, the name says what kind of file it is: ``AAPL/prices.csv``, ``MSFT/prices.csv``. Directories of years hold
    the parts of one table.
    """
    faults: dict[int, str] = {}
    by_symbol: dict[str, list[int]] = {}
    for number, symbol in symbols.items():
        by_symbol.setdefault(symbol, []).append(number)
    spread = {symbol: {tables[number].parts[:-1] for number in numbers} for symbol, numbers in by_symbol.items()}
    spread = {symbol: within for symbol, within in spread.items() if len(within) > 1 and not _are_times(within)}
    directories = set[tuple[str, ...]]().union(*spread.values())
    for symbol, numbers in by_symbol.items():
        for number in numbers:
            twin = next((tables[other] for other in numbers if _by_case_only(tables[other], tables[number])), None)
            if twin is not None:
                faults[number] = f"its name differs from {twin.parts[-1]} by case only"
            elif symbol in spread and len(directories) > len(spread):
                faults[number] = (
                    f"{len(numbers)} files in {len(spread[symbol])} directories would be the symbol {symbol}; set "
                    f"BREADTHFLOW_SOURCE_SYMBOL={{symbol}}/{printable(tables[number].parts[-1])} where the directory "
                    f"says it, or ={naming.FILE_NAME} where the name does"
                )
    return faults


def _by_case_only(one: TableFile, other: TableFile) -> bool:
    """Whether two files lie beside each other and have one name in different letters."""
    beside = one.parts[:-1] == other.parts[:-1]
    return beside and one.stem != other.stem and one.stem.lower() == other.stem.lower()


def _are_times(directories: Collection[tuple[str, ...]]) -> bool:
    """Whether directories differ by nothing but times: 2020, 2020-01, year=2020."""
    shared = 0
    while len({directory[: shared + 1] for directory in directories}) == 1 and all(
        len(directory) > shared for directory in directories
    ):
        shared += 1
    return all(naming.is_of_time(part) for directory in directories for part in directory[shared:])
