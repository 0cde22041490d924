"""Delimited text: every line goes somewhere, whatever it holds, and no cell is cut."""

import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breadthflow_pipelines.sources import delimited
from breadthflow_pipelines.sources.delimited import RejectedLine, Table
from breadthflow_pipelines.sources.protocol import Account
from breadthflow_pipelines.sources.unreadable import UnreadableError
from breadthflow_pipelines_tests.examples import examples

Read = tuple[list[tuple[str, ...]], list[str], Account]


def read(text: str | bytes, wanted: Sequence[int] | None = None) -> Read:
    """The rows, the text of each rejected line, and the account."""
    table = Table(io.BytesIO(text.encode() if isinstance(text, str) else text))
    blocks = list(table.blocks(range(len(table.names)) if wanted is None else wanted))
    rows = [row for block in blocks for row in block.rows.iter_rows()]
    return rows, [line.text for block in blocks for line in block.rejected], table.account


@pytest.mark.parametrize(
    ("lines", "rows", "rejected"),
    [
        (["1,2,3", "4,5,6"], [("1", "2", "3"), ("4", "5", "6")], []),
        # a mark inside an unquoted cell is part of it; an odd and an even number of such rows
        (['1,8" pipe,3'], [("1", '8" pipe', "3")], []),
        (['1,8" pipe,3', '4,9" pipe,6'], [("1", '8" pipe', "3"), ("4", '9" pipe', "6")], []),
        # a mark that is never closed, at the beginning of a cell: the next row must not be swallowed
        (['1,"8 pipe,3', "4,5,6"], [("1", '"8 pipe', "3"), ("4", "5", "6")], []),
        (['1,2,"Foo', "4,5,6", '7,8,"Bar'], [("1", "2", '"Foo'), ("4", "5", "6"), ("7", "8", '"Bar')], []),
        # quoted as RFC 4180 says
        (['"1,5","say ""x""",3'], [("1,5", 'say "x"', "3")], []),
        (['1,"two', 'lines",3', "4,5,6"], [("1", "two\nlines", "3"), ("4", "5", "6")], []),
        (['1,2,"an', "empty one", "", 'between"'], [("1", "2", "an\nempty one\n\nbetween")], []),
        (['"in the', 'first cell",2,3', "4,5,6"], [("in the\nfirst cell", "2", "3"), ("4", "5", "6")], []),
        # two marks that open and close nothing, in two rows, look like a break; neither row may vanish
        (['1,"8 pipe,3', '4,9 pipe",6'], [("1", '"8 pipe', "3"), ("4", '9 pipe"', "6")], []),
        # more and fewer cells than the header: never cut, never filled up
        (["1,2,034,567", "1,2", "4,5,6", "x"], [("4", "5", "6")], ["1,2,034,567", "1,2", "x"]),
        # both at once: a broken quotation with a comma in it costs its own line
        (['1,2,"Foo, Inc', "4,5,6", '7,8,"9"'], [("4", "5", "6"), ("7", "8", "9")], ['1,2,"Foo, Inc']),
        # what says nothing
        (["", "   ", ",,", ' , ,""', "1,2,3", ""], [("1", "2", "3")], []),
        # the header once more, as cat leaves it, also with a byte order mark and in other letters
        (["1,2,3", "a,b,c", "\ufeffa,b,c", "A, B ,C", "4,5,6"], [("1", "2", "3"), ("4", "5", "6")], []),
        # a carriage return inside a line ends none
        (["1,2\r3,4", "5,6,7"], [("1", "2\r3", "4"), ("5", "6", "7")], []),
        # bytes that are no text, and NUL
        (["\0,2,3"], [("\0", "2", "3")], []),
    ],
)
def test_lines_become_rows_or_are_named(lines: list[str], rows: list[tuple[str, ...]], rejected: list[str]) -> None:
    for end in ("\n", "\r\n"):
        for last in (end, ""):
            got, named, account = read(end.join(["a,b,c", *lines]) + last)
            assert (got, named) == (rows, rejected)
            assert (account.rows, account.rejected) == (len(rows), len(rejected))
            # A line end after an empty last line is what makes it one.
            assert account.lines == 1 + len(lines) - (lines[-1] == "" and not last)
            assert account.balanced


def test_where_each_line_went_is_counted_by_kind() -> None:
    text = 'a,b\n1,2\n\n,\na,b\n1\n1,2,3\n"x\ny",2\n'
    assert read(text)[2] == Account(lines=9, rows=2, rejected=2, blank=2, headers=2, continued=1)


def test_bytes_that_are_no_utf_8_stand_as_what_they_are_not() -> None:
    assert read(b"a,b\n\xe9,1\n\xff\xfe,2\n")[0] == [("\ufffd", "1"), ("\ufffd\ufffd", "2")]


def test_only_wanted_columns_come_out_and_all_of_them_are_counted() -> None:
    rows, rejected, account = read("a,b,c,d\n1,2,3,4\n,,,only here\n1,2,3\n,,,\n", wanted=[0, 2])
    assert rows == [("1", "3"), ("", "")]  # the second row says something, though not to us
    assert rejected == ["1,2,3"]
    assert account.blank == 1


def test_columns_may_be_read_as_what_they_probably_hold() -> None:
    import pyarrow as pa

    expected = {0: pa.date32(), 1: pa.float64()}

    def kinds(text: str) -> list[str]:
        table = Table(io.BytesIO(text.encode()))
        (block,) = table.blocks([0, 1], expected)
        return [str(dtype) for dtype in block.rows.dtypes]

    assert kinds("d,n\n2024-01-02,1.5\n2024-01-03,\n") == ["Date", "Float64"]
    for cell in ("n/a", "1,5", "$1", "2.07M", "nan", "inf", "-inf"):  # what stands there must stay to be seen
        assert kinds(f'd,n\n2024-01-02,1.5\n2024-01-03,"{cell}"\n') == ["String", "String"]
    assert kinds("d,n\n20240102,1.5\n") == ["String", "String"]


def test_the_header_is_the_first_line_that_says_something() -> None:
    table = Table(io.BytesIO(b'\xef\xbb\xbf\n\n"a", b ,"c,d"\n1,2,3\n'))
    assert table.names == ["a", "b", "c,d"]
    assert [block.rows.rows() for block in table.blocks([0])] == [[("1",)]]
    assert table.account == Account(lines=4, rows=1, blank=2, headers=1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "it is empty"),
        (b"\n \n,,\n", "it is empty"),
        (b"," * 20_000 + b"x\n", "its first line has 20,001 cells"),
    ],
)
def test_what_is_no_table_is_refused(text: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        Table(io.BytesIO(text))


def test_a_line_beyond_all_measure_is_refused_before_it_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BLOCK", 100)
    monkeypatch.setattr(delimited, "LONGEST_LINE", 1_000)

    class Endless:
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            return b"a,b\n" if self.given == size else b"x" * size

    endless = Endless()
    with pytest.raises(UnreadableError, match="a line of it has more than"):
        list(Table(endless).blocks([0, 1]))
    assert endless.given < 2_000


def test_a_text_whose_lines_are_not_accounted_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check does not trust the parsers: here one of them passes over a line."""
    whole = delimited._record
    monkeypatch.setattr(Table, "_strictly", lambda *_: None)
    monkeypatch.setattr(delimited, "_record", lambda lines, at, *a, **k: (2, whole(lines, at, *a, **k)[1]))
    monkeypatch.setattr(Table, "_counted", lambda self, *_: not self._counts.update(rows=self._counts["rows"] + 1))
    with pytest.raises(UnreadableError, match="not all of its lines are accounted for: 5 lines, 2 rows"):
        read("a,b\n1,2\n3,4\n5,6\n7,8\n")


def test_numbered_rows_know_their_line() -> None:
    table = Table(io.BytesIO(b'\na,b\n1,2\n\n"x\ny",3\n4\na,b\n5,6\n'))
    assert [tuple(row) for row in table.numbered()] == [
        (3, ["1", "2"]),
        (5, ["x\ny", "3"]),
        (7, ["4"]),
        (9, ["5", "6"]),
    ]
    assert table.account == Account(lines=9, rows=3, rejected=1, blank=2, headers=2, continued=1)


TEXTS = st.text(alphabet='12a",\r\n\0é\ufeff ', max_size=80)


@given(text=TEXTS, block=st.integers(1, 30))
@examples(300)
def test_no_line_is_lost_and_the_size_of_a_block_changes_nothing(text: str, block: int) -> None:
    whole = "a,b,c\n" + text
    with pytest.MonkeyPatch.context() as patch:
        at_once = read(whole)
        patch.setattr(delimited, "BLOCK", block)
        in_blocks = read(whole)
    assert at_once == in_blocks
    account = at_once[2]
    assert account.balanced
    data = whole.encode()
    assert account.lines == data.count(b"\n") + (not data.endswith(b"\n"))


@given(text=TEXTS)
@examples(300)
def test_the_strict_parser_and_reading_line_by_line_agree(text: str) -> None:
    whole = "a,b,c\n" + text
    with pytest.MonkeyPatch.context() as patch:
        strict = read(whole)
        patch.setattr(Table, "_strictly", lambda *_: None)
        by_line = read(whole)
    assert strict == by_line


CELLS = st.text(alphabet='ab1" é', max_size=6)
BROKEN = st.text(alphabet='ab1"\n', max_size=8)


@given(rows=st.lists(st.tuples(CELLS, BROKEN, CELLS).flatmap(st.permutations), max_size=8))
@examples(200)
def test_what_a_writer_of_rfc_4180_wrote_is_read_as_it_was_meant(rows: list[list[str]]) -> None:
    """Each cell quoted, marks doubled, line breaks in one cell; more of them, or commas beside, may look like rows."""
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    text = "h1,h2,h3\n" + "".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n" for row in rows)
    got, rejected, account = read(text)
    assert rejected == []
    assert got == [tuple(row) for row in rows]
    assert account.balanced


def test_a_line_turned_away_tells_its_cells() -> None:
    table = Table(io.BytesIO(b'a,b\n1,"x,y",3\n1,2,3\n'))
    rejected = [line for block in table.blocks([0, 1]) for line in block.rejected]
    assert rejected == [RejectedLine('1,"x,y",3', ["1", "x,y", "3"]), RejectedLine("1,2,3", ["1", "2", "3"])]
