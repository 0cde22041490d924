"""Make the README's pictures: the page of a universe, the live page, and of a running UI the asset graph and a chart.

.venv/bin/python docs/make_images.py --report sp500
.venv/bin/python docs/make_images.py --page http://127.0.0.1:8000
.venv/bin/python docs/make_images.py --ui http://127.0.0.1:3000

All take --chromium /usr/bin/chromium. The report is that of the S&P 500 from ../shared/market (docs/make_record.py),
out of the store that the settings mean; the live page and the UI are `breadthflow up` on the demo market.
"""

import argparse
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from breadthflow_pipelines.publishing.places import page_path
from breadthflow_pipelines.settings import get_settings

IMAGES = Path(__file__).parent / "images"
GROUPS = ",".join(f"global@global:{group}" for group in ("market", "breadth", "signals", "symbols"))
FLAGS = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"]


def asset_graph(page: Page, address: str) -> None:
    """All assets with their groups unfolded."""
    page.goto(f"{address}/asset-groups?expanded={GROUPS}")
    page.get_by_text("market_signals", exact=True).first.wait_for()
    page.wait_for_timeout(3_000)  # the graph still moves into place
    page.screenshot(path=IMAGES / "asset_graph.png", clip={"x": 570, "y": 270, "width": 1390, "height": 715})


def chart(page: Page, address: str, asset: str, about: str, name: str) -> None:
    """One of the charts of an asset's latest materialization, by what its title says."""
    page.goto(f"{address}/assets/{asset}?view=events")
    row = page.locator("tr").filter(has=page.get_by_text("charts", exact=True)).last
    row.get_by_text("[Show Markdown]").click()
    picture = page.locator(f'img[alt*="{about}"]').last
    picture.wait_for()
    page.wait_for_timeout(500)
    picture.screenshot(path=IMAGES / f"{name}.png")


def report(page: Page, universe: str) -> None:
    """What one sees first of a universe's page."""
    page.set_viewport_size({"width": 1360, "height": 1420})
    page.goto(page_path(get_settings().home, universe).as_uri())
    page.wait_for_selector("html[data-drawn=yes]")
    page.wait_for_timeout(500)
    page.screenshot(path=IMAGES / "report.png")


def live(browser: Browser, address: str) -> None:
    """The live page as one sees it first, on a desktop and in the dark on a phone."""
    for name, width, height, scheme in (("page", 1360, 940, "light"), ("page_phone", 390, 844, "dark")):
        size: ViewportSize = {"width": width, "height": height}
        page = browser.new_page(viewport=size, color_scheme=scheme)
        page.goto(address)
        page.wait_for_selector("html[data-drawn=yes]")
        page.get_by_text("Live", exact=True).wait_for()
        page.screenshot(path=IMAGES / f"{name}.png")
        page.close()


def main() -> None:
    """Make the pictures that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", metavar="UNIVERSE", help="make the picture of this universe's page")
    parser.add_argument("--ui", metavar="ADDRESS", help="make the pictures of Dagster's UI at this address")
    parser.add_argument("--page", metavar="ADDRESS", help="make the pictures of the live page at this address")
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="the browser")
    asked = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=asked.chromium, args=FLAGS, chromium_sandbox=False)
        page = browser.new_page(viewport={"width": 2000, "height": 1000})
        if asked.ui:
            asset_graph(page, asked.ui)
            chart(page, asked.ui, "market_signals", "Zweig's average", "zweig")
        if asked.report:
            report(page, asked.report)
        if asked.page:
            live(browser, asked.page)
        browser.close()


if __name__ == "__main__":
    main()
