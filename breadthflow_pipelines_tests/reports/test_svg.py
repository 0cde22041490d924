"""Pictures as SVG: well formed, small, with what is written on them where it belongs."""

import datetime as dt
import random
import re
from itertools import pairwise
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from breadthflow_pipelines.reports import svg
from breadthflow_pipelines.reports.svg import Area, Interval, Line, Marks, Shade
from breadthflow_pipelines.reports.thinning import MOST_POINTS

NAMESPACE = "{http://www.w3.org/2000/svg}"
FOLDED_FROM = 1000  # characters of Markdown that Dagster's UI hides behind a click


def days(number: int) -> list[dt.date]:
    return [dt.date(2020, 1, 1) + dt.timedelta(days=i) for i in range(number)]


def texts(picture: str) -> dict[str, tuple[float, float]]:
    """What is written on a picture, and where."""
    found = ElementTree.fromstring(picture).iter(f"{NAMESPACE}text")  # noqa: S314 - our own
    return {str(text.text): (float(text.attrib["x"]), float(text.attrib["y"])) for text in found}


def lines(picture: str, colour: str) -> list[list[tuple[int, int]]]:
    """The points of the lines of a colour, piece by piece, from a path of differences."""
    found = []
    for path in ElementTree.fromstring(picture).iter(f"{NAMESPACE}path"):  # noqa: S314 - our own
        if path.attrib.get("stroke") == colour:
            for piece in filter(None, path.attrib["d"].split("M")):
                start, _, steps = piece.partition("l")
                x, y = map(int, start.split(","))
                points = [(x, y)]
                numbers = [int(number) for number in re.findall(r"-?\d+", steps)]
                for across, down in zip(numbers[2::2], numbers[3::2], strict=True):  # the first step is none
                    x, y = x + across, y + down
                    points.append((x, y))
                found.append(points)
    return found


def test_a_line_goes_through_its_values_and_breaks_where_there_is_none() -> None:
    picture = svg.chart("title", days(5), [Line("end", [0, 10, None, 10, 0])])
    first, second = lines(picture, svg.FIRST)
    assert [len(first), len(second)] == [2, 2]
    # Sessions are equally far apart, equal values equally high, and greater ones higher up.
    across = first[1][0] - first[0][0]
    assert [second[1][0] - second[0][0], (second[0][0] - first[1][0]) / 2] == pytest.approx([across, across], abs=1)
    assert first[1][1] == second[0][1] < first[0][1] == second[1][1]


def test_the_last_value_is_written_beside_the_end_of_its_line() -> None:
    sessions, values = days(100), [float(i) for i in range(100)]
    written = texts(svg.chart("title", sessions, [Line("rising 99", values), Line("falling 0", values[::-1])]))
    (rising_x, rising_y), (falling_x, falling_y) = written["rising 99"], written["falling 0"]
    assert rising_x == falling_x > svg.WIDTH - svg._RIGHT  # not over the line
    assert rising_y < 60 < 200 < falling_y


def test_what_is_written_at_the_ends_of_lines_that_meet_does_not_overlap() -> None:
    layers = [Line(f"line {i}", [0.0, 5.0 + i / 100]) for i in range(3)]
    heights = sorted(y for text, (_, y) in texts(svg.chart("t", days(2), layers)).items() if text.startswith("line"))
    assert min(after - before for before, after in pairwise(heights)) >= svg._LINE_HEIGHT


def test_a_long_line_is_thinned_and_keeps_its_extremes() -> None:
    chance = random.Random(1)  # noqa: S311
    values = [chance.gauss(0, 1) for _ in range(14_000)]
    values[7_003], values[9_998] = 40, -40
    picture = svg.chart("fifty-five years", days(14_000), [Line("", values)])
    (points,) = lines(picture, svg.FIRST)
    assert len(points) <= MOST_POINTS
    whole = svg.chart("", days(3), [Line("", [40, -40, 0])])
    heights = {y for piece in lines(whole, svg.FIRST) for _, y in piece}
    assert {min(y for _, y in points), max(y for _, y in points)} == {min(heights), max(heights)}


@pytest.mark.parametrize(
    ("number", "shown", "hidden"),
    [
        (250, "Mar 2020", "2021"),  # months
        (800, "Jan 2021", "Feb 2021"),  # every third month, so that names do not overlap
        (3_650, "2025", "Jan 2025"),  # years
        (20_000, "2050", "2051"),
        (1, "", "Jan 2020"),  # nothing begins within one session
    ],
)
def test_dates_are_as_many_as_fit(number: int, shown: str, hidden: str) -> None:
    written = texts(svg.chart("title", days(number), [Line("", [1.0] * number)]))
    assert not shown or shown in written
    assert hidden not in written
    dates = [text for text in written if re.fullmatch(r"(\w{3} )?\d{4}", text)]
    assert len(dates) <= 14


def test_areas_stand_on_zero_marks_on_their_values_and_levels_are_drawn() -> None:
    layers = [Area("up", [3, None, 1], svg.UP), Area("down", [-1, -1, None], svg.DOWN), Marks([(1, 2.0)], svg.SECOND)]
    picture = svg.chart("title", days(3), layers, levels=(2,))
    paths = [path.attrib for path in ElementTree.fromstring(picture).iter(f"{NAMESPACE}path")]  # noqa: S314 - our own
    assert [path["fill"] for path in paths if "fill" in path] == [svg.UP, svg.DOWN, svg.SECOND]
    assert len([path for path in paths if "stroke-dasharray" in path]) == 1
    assert {"0", "1", "2", "3", "-1"} <= texts(picture).keys()


def test_curves_go_through_their_points_over_one_axis() -> None:
    told = svg.Curve("told", [(10, 40), (20, 50), (40, 45)], svg.UP)
    ideal = svg.Curve("ideal", [(0, 0), (100, 100)], svg.SOFT, dashed=True)
    picture = svg.curves("title", [told, ideal], "said, %")
    dots = re.findall(r"<path d='(M[^l']*h1)'[^>]*/>", picture)
    assert [path.count("M") for path in dots] == [3]  # of the dashed one there are none
    without = re.sub(r"<path d='M[^l']*h1'[^>]*/>", "", picture)
    ((first, second, third),) = lines(without, svg.UP)
    assert third[0] - second[0] == pytest.approx(2 * (second[0] - first[0]), abs=2)  # as far apart as the numbers
    assert second[1] < third[1] < first[1]  # the greater, the higher up
    assert len(lines(picture, svg.SOFT)[0]) == 2
    assert {"told", "ideal", "said, %", "20", "100"} <= texts(picture).keys()
    assert ElementTree.fromstring(svg.curves("none", [], "said")) is not None  # noqa: S314


def test_rows_of_events_have_their_names_how_many_and_the_last() -> None:
    sessions = days(40)
    rows = {"one_rule": [(sessions[3], svg.UP)], "another": [(sessions[5], svg.UP), (sessions[30], svg.DOWN)]}
    picture = svg.event_rows("events", sessions, rows)
    written = texts(picture)
    assert {"one_rule", "another", "1, last 2020-01-04", "2, last 2020-01-31"} <= written.keys()
    assert written["one_rule"][1] == written["1, last 2020-01-04"][1] != written["another"][1]
    assert ElementTree.fromstring(svg.event_rows("none", sessions, {})) is not None  # noqa: S314


def test_pictures_have_a_ground_of_their_own_for_light_and_for_dark_readers() -> None:
    picture = svg.chart("title", days(2), [Line("", [1.0, 2.0])])
    light, _, dark = picture.partition("@media(prefers-color-scheme:dark)")
    assert ".b{fill:#fff}" in light
    assert ".b{fill:#14171c}" in dark


def test_a_miniature_shows_without_a_click_however_wild_the_line() -> None:
    chance = random.Random(2)  # noqa: S311
    wild = [chance.choice([-1e9, 1e9]) for _ in range(60)]
    name = "a universe of a long name (SYNTHETIC, not real prices), McClellan Oscillator, 60 sessions"
    assert len(svg.markdown(name, svg.sparkline(wild, (-70, 0, 70), "1,000,000,000"))) < FOLDED_FROM


def test_markdown_holds_the_picture_whole() -> None:
    picture = svg.chart("50 % & <more> of [it]", days(2), [Line("é", [1.0, None])])
    written = svg.markdown("50 % & <more> of [it]", picture)
    head, _, data = written.removesuffix(")").partition("](data:image/svg+xml;charset=utf-8,")
    assert head == r"![50 % & <more> of \[it\]"
    assert unquote(data) == picture
    assert not set(data) & set(' <>()"#&\n')  # what would end the address, or mean something in it


@pytest.mark.parametrize(
    ("value", "text"), [(0.567, "0.57"), (-39.24, "-39.2"), (4817.0, "4,817"), (-123.4, "-123"), (50, "50"), (0.0, "0")]
)
def test_figures_have_as_few_digits_as_tell_them(value: float, text: str) -> None:
    assert svg.figure(value) == text


def test_intervals_lie_on_one_scale_with_their_values_and_levels() -> None:
    rows = [
        Interval("surge, buy", 0.75, 0.5, 0.9, 0.6, "75% of 16, base 60%", svg.UP),
        Interval(
            "a <name>, sell", 0.25, -0.1, 1.2, 0.5, "25% of 4, base 50%", svg.FIRST
        ),  # an interval may leave 0 to 1
    ]
    picture = svg.intervals("title", rows)
    at = {share: texts(picture)[share][0] for share in ("0%", "50%", "100%")}
    scale = at["100%"] - at["0%"]
    paths = [path.attrib for path in ElementTree.fromstring(picture).iter(f"{NAMESPACE}path")]  # noqa: S314 - our own

    def x(number: str) -> float:
        return (int(number) / 2 - at["0%"]) / scale

    for row, low, high in zip(rows, (0.5, 0.0), (0.9, 1.0), strict=True):
        line, dot = (path["d"] for path in paths if path.get("stroke") == row.colour)
        found = re.fullmatch(r"M(\d+),(\d+)H(\d+)", line)
        assert found is not None
        assert (x(found[1]), x(found[3])) == pytest.approx((low, high), abs=0.002)
        assert x(re.findall(r"\d+", dot)[0]) == pytest.approx(row.value, abs=0.002)
        assert int(found[2]) / 2 == pytest.approx(texts(picture)[row.end][1] - 4.5, abs=1)  # beside its own text
        assert row.name in texts(picture)
    levels = [x(re.findall(r"\d+", path["d"])[0]) for path in paths if path.get("stroke") == svg.SOFT]
    assert levels == pytest.approx([0.6, 0.5], abs=0.002)


def test_a_heat_map_has_a_stretch_for_each_run_of_a_colour() -> None:
    rows = {"Energy": [0.0, 5.0, 100.0, None, 100.0], "A & B": [None, 50.0, 50.0, 50.0, None]}
    picture = svg.heat("title", days(5), rows)
    written = texts(picture)
    assert (written["Energy"][1], written["A & B"][1]) == (written["100 %"][1], written["unknown"][1])
    of_colour = {
        path.attrib["stroke"]: path.attrib["d"]
        for path in ElementTree.fromstring(picture).iter(f"{NAMESPACE}path")  # noqa: S314 - our own
        if "h" in path.attrib["d"]
    }
    # two sessions of few, two single ones of most, three of the middle
    assert sorted(data.count("M") for data in of_colour.values()) == [1, 1, 2]
    lengths = sorted(int(length) for data in of_colour.values() for length in re.findall(r"h(\d+)", data))
    one = lengths[0]
    assert [round(length / one) for length in lengths] == [1, 1, 2, 3]
    assert svg.heat("none", days(5), {})


def test_a_shade_covers_its_sessions_from_top_to_bottom() -> None:
    picture = svg.chart("title", days(6), [Shade([False, True, True, False, False, True]), Line("x", [1.0] * 6)])
    [ground] = re.findall(r"<path d='([^']*)' fill='#868e9655'", picture)
    spans = [tuple(map(int, found)) for found in re.findall(r"M(\d+),\d+H(\d+)V", ground)]
    widths = [right - left for left, right in spans]
    assert len(spans) == 2
    assert widths[0] == pytest.approx(2 * widths[1], abs=2)
    assert spans[1][1] == 2 * (svg.WIDTH - 170)  # to the right edge, in half pixels
