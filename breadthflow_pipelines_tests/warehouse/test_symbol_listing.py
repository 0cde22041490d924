"""Addresses of members' signals: there and back, whatever a symbol looks like."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.sources.parsing import LONGEST_SYMBOL, is_symbol
from breadthflow_pipelines.sources.universe_file import UNIVERSE_NAME
from breadthflow_pipelines.warehouse.symbol_listing import Address, address_of, is_address


@given(
    st.builds(
        Address,
        st.from_regex(UNIVERSE_NAME, fullmatch=True),
        st.text(max_size=LONGEST_SYMBOL).filter(is_symbol),
        st.dates(),
    )
)
def test_every_address_leads_back_to_its_parts(address: Address) -> None:
    assert is_address(str(address))
    assert address_of(str(address)) == address


def test_a_symbol_may_look_like_an_address() -> None:
    assert address_of("u:NYSE:IBM:2024-01-02:2024-03-01") == ("u", "NYSE:IBM:2024-01-02", dt.date(2024, 3, 1))


@pytest.mark.parametrize(
    "written",
    [
        "::",
        "u:A",  # no day
        "u:2024-03-01",  # no symbol
        "u::2024-03-01",
        ":A:2024-03-01",
        "u:A:2024-02-30",
        "u:A:20240301",  # a day, but not as ids write it
        "u:A:2024-W09-5",
        "u:A:2024-03-01 ",
        "u:A:2024-03-01T00:00",
        "u:A:٢٠٢٤-03-01",  # digits of another script
    ],
)
def test_what_is_no_address_is_refused_with_what_one_looks_like(written: str) -> None:
    with pytest.raises(RequestError, match="is universe:symbol:session, as in sp500:AAPL:2024-03-01"):
        address_of(written)


def test_ids_of_universes_are_no_addresses() -> None:
    assert not is_address("0123456789abcdef")
