"""Elements of a page. Text and attributes are always escaped: nothing that a frame holds can become markup."""

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

Child = Element | str | None


def element(tag: str, *children: Child | Iterable[Child], **attributes: object) -> Element:
    """An element with these children in their order; None is left out.

    attributes: ``class_`` is class, ``aria_label`` is aria-label; False and None are left out, True has no value.
    """
    made = Element(tag)
    for name, value in attributes.items():
        if value is not None and value is not False:
            made.set(name.rstrip("_").replace("_", "-"), "" if value is True else str(value))
    for child in children:
        for part in [child] if isinstance(child, Element | str) or child is None else child:
            _append(made, part)
    return made


def _append(parent: Element, child: Child) -> None:
    if isinstance(child, Element):
        parent.append(child)
    elif child is not None and len(parent):
        parent[-1].tail = (parent[-1].tail or "") + child
    elif child is not None:
        parent.text = (parent.text or "") + child


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> Element:
    """A table of texts; the first cell of each row names it. It scrolls by itself where it is too wide."""
    head = element("tr", (element("th", name, scope="col") for name in columns))
    body = [
        element("tr", element("th", first, scope="row"), (element("td", cell) for cell in rest))
        for first, *rest in rows
    ]
    whole = element(
        "table", element("caption", caption, class_="hidden"), element("thead", head), element("tbody", body)
    )
    return element("div", whole, class_="wide", tabindex=0, role="region", aria_label=caption)


def signal_link(signal_id: str, text: str) -> Element:
    """A link that opens the evidence of a signal."""
    return element("a", text, href=f"#signal-{signal_id}")


def written(root: Element) -> str:
    """The element as HTML."""
    return ElementTree.tostring(root, encoding="unicode", method="html")
