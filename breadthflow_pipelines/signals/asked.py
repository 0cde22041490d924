"""Names of rules and horizons that people ask for: what does not exist is refused, with what does.

Loads the rules where a name is to be looked up: commands that ask for none start without them.
"""

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.vocabulary import HORIZONS


def check_rule(rule: str | None) -> None:
    """Refuse the name of an unknown rule; None is any of them.

    Raises:
        RequestError: says which there are.
    """
    if rule is None:
        return
    from breadthflow_pipelines.signals.rules import RULES

    if rule not in RULES:
        raise RequestError(f"Rule {rule} is unknown; there are: {', '.join(RULES)}.")


def check_horizon(horizon: int | None) -> None:
    """Refuse a number of sessions after which nothing is judged; None is any of them.

    Raises:
        RequestError: says which there are.
    """
    if horizon is not None and horizon not in HORIZONS:
        raise RequestError(f"No horizon has {horizon} sessions; there are: {', '.join(map(str, HORIZONS))}.")
