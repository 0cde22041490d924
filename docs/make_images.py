"""Make the README's pictures: the page of the demo market, and of a running UI the asset graph and a chart's dialog.

    uv run --group test python docs/make_images.py http://127.0.0.1:3000 [/usr/bin/chromium]

Needs a Chromium on the machine, and `breadthflow up` on the store that the settings mean, where `breadthflow run` has
ended.
"""

import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

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
    page.screenshot(path=IMAGES / "asset_graph.png", clip={"x": 590, "y": 222, "width": 1360, "height": 650})


def chart(page: Page, address: str, asset: str, about: str, name: str) -> None:
    """One of the charts of an asset's latest materialization, by what its title says."""
    page.goto(f"{address}/assets/{asset}?view=events")
    row = page.locator("tr").filter(has=page.get_by_text("charts", exact=True)).last
    row.get_by_text("[Show Markdown]").click()
    picture = page.locator(f'img[alt*="{about}"]').last
    picture.wait_for()
    page.wait_for_timeout(500)
    picture.screenshot(path=IMAGES / f"{name}.png")


def report(page: Page) -> None:
    """What one sees first of the demo market's page."""
    page.set_viewport_size({"width": 1360, "height": 1420})
    page.goto(page_path(get_settings().home, "demo").as_uri())
    page.wait_for_selector("html[data-drawn=yes]")
    page.wait_for_timeout(500)
    page.screenshot(path=IMAGES / "report.png")


def main() -> None:
    """Make all pictures."""
    address, *chromium = sys.argv[1:]
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium[0] if chromium else "/usr/bin/chromium", args=FLAGS, chromium_sandbox=False
        )
        page = browser.new_page(viewport={"width": 2000, "height": 1000})
        asset_graph(page, address)
        chart(page, address, "market_signals", "Zweig's average", "zweig")
        report(page)
        browser.close()


if __name__ == "__main__":
    main()
