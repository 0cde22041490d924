from breadthflow_pipelines.signals.rules import RULES


def test_every_rule_says_what_it_is_and_where_it_comes_from() -> None:
    assert list(RULES) == ["zweig_breadth_thrust", "mcclellan_oversold_recovery", "breadth_score"]
    for name, rule in RULES.items():
        assert rule.name == name
        assert rule.about
        assert rule.source
        assert rule.parameters


def test_levels_are_the_published_ones() -> None:
    zweig, mcclellan = RULES["zweig_breadth_thrust"], RULES["mcclellan_oversold_recovery"]
    assert zweig.thresholds == {"armed_below": 0.40, "fires_above": 0.615}
    assert zweig.parameters == {"alpha": 2 / 11, "sessions": 10}
    assert mcclellan.thresholds == {"armed_at_or_below": -100, "fires_above": -70}
    assert RULES["breadth_score"].published_for == ()
