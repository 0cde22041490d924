"""What is known of the data's faults, and how the page's figures are made and what they cannot say, in plain words."""

from xml.etree.ElementTree import Element

from breadthflow_pipelines.model.vocabulary import MONTH, PROVISIONAL, YEAR
from breadthflow_pipelines.reports.page.facts import Facts
from breadthflow_pipelines.reports.page.markup import element, table

# By kind of fault, what it means.
KINDS = {
    "rejected bar": "broke the contract of bars, and is left out",
    "rejected line": "a published line that broke its contract, and is left out",
    "quarantined bar": "keeps the contract and cannot be right; left out until somebody decides",
    "confirmed bar": "somebody confirmed that it is wrong; left out",
    "released bar": "a rule flagged it, somebody said that it is right; counted",
    "proposed bar": "a rule proposes it for quarantine; counted until somebody decides",
    "doubted bar": "doubtful, and counted",
    "doubted session": "published counts that cannot be right; left out",
    "revised bar": "the source changed it later; everything after it was computed again",
    "revised session": "was published with other figures before",
    "held session": "must not be built on; the figures end before it",
    "accepted hole": "bars are missing, and somebody accepted that",
}


def quality(facts: Facts) -> Element:
    """What is left out, doubted, revised or held, by kind and reason."""
    provisional = facts.breadth.filter(state=PROVISIONAL).height
    rows = [
        [kind, what, f"{rows:,}", f"{first or 'unknown'}", f"{last or 'unknown'}", KINDS.get(kind, "")]
        for kind, what, rows, first, last in facts.faults.select("kind", "what", "rows", "first", "last").iter_rows()
    ]
    columns = ("Kind", "Reason or rule", "Number", "First session", "Last session", "What it means")
    found: Element | str = (
        table(columns, rows, "Faults of the data")
        if rows
        else element("p", "Nothing is rejected, quarantined, doubted, revised or held.")
    )
    return element(
        "section",
        element("h2", "Data quality", id="quality-title"),
        element(
            "p",
            f"Sessions that are provisional: {provisional:,}. ",
            "Nothing is repaired in silence: what cannot be right is left out, with the reason.",
            class_="about",
        ),
        found,
        class_="card wide-card",
        id="quality",
        aria_labelledby="quality-title",
    )


def method(facts: Facts) -> Element:
    """How the figures are made, and their limits."""
    paragraphs = (
        f"Every figure is counted from the stocks that were members of {facts.universe} on that day, not of today's; "
        "or it is what an exchange published. A stock advances if it closes above its bar of the session before, by "
        f"however little; a stock without that bar is counted apart. New highs and lows are against the prior {YEAR} "
        f"bars of each stock, short-term ones against {MONTH}.",
        "Unknown is shown as unknown, never as zero. A smoothed figure is unknown until the first value weighs less "
        "than a thousandth in it.",
        "A signal is known at the close of its session and can be acted on from the next one. None looks ahead: a "
        "history that ends with the signal gives the same signal.",
        "Confidence says how clear the evidence is. It is not a probability of gain; what followed is in the record. "
        "Rules with thresholds that were published for another market are marked, and count half.",
        "What would change the state is arithmetic: a published formula solved for the next session. It says nothing "
        "about whether that is likely. Score and conviction rest on several figures at once, so no single number is "
        "given for them.",
        "Breadth says how many take part, not how much money is behind it; a universe of few members moves in large "
        "steps; bars of companies that left the market may be missing, which coverage tells.",
        f"Definitions: convention {facts.convention}. Made by breadthflow {facts.version}. This is no investment "
        "advice.",
    )
    return element(
        "section",
        element("h2", "Method and limits", id="method-title"),
        (element("p", paragraph) for paragraph in paragraphs),
        class_="card wide-card prose",
        id="method",
        aria_labelledby="method-title",
    )
