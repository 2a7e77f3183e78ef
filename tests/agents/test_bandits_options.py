import pytest

from agents import make_policy
from agents.bandits import RULES, UCB, EpsilonGreedy, LinUCB, Thompson, bandit_policy


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("bandit:softmax", "expected one of bandit:ucb, bandit:thompson"),
        ("bandit:UCB", "expected one of bandit:ucb, bandit:thompson"),
        ("bandit:ucb?beta=1", "'bandit:ucb' has no option 'beta'; expected alpha"),
        ("bandit:greedy?alpha=1", "has no option 'alpha'; expected none"),
        ("bandit:thompson?alpha=1", "expected model, sigma, mean, deviation"),
        ("bandit:ucb?alpha", "'bandit:ucb.alpha': expected POLICY.key=value"),
        ("bandit:ucb?alpha=-1", "'bandit:ucb': alpha=-1; expected"),
        ("bandit:ucb?alpha=much", "alpha='much'; expected"),
        ("bandit:ucb?alpha=null", "alpha=None; expected"),
        ("bandit:ucb?alpha=true", "alpha=True; expected"),
        ("bandit:ucb?alpha=[1]", r"alpha=\[1\]; expected"),
        ("bandit:ucb?alpha=NaN", "alpha=nan; expected"),
        ("bandit:ucb?alpha=Infinity", "alpha=inf; expected"),
        ("bandit:linucb?alpha=-1", "alpha=-1"),
        ("bandit:linucb?middle=x", "middle='x'; expected a finite number"),
        ("bandit:epsilon-greedy?epsilon=2", "epsilon=2; expected a number from 0 to 1"),
        ("bandit:epsilon-greedy?epsilon=x", "epsilon='x'; expected"),
        ("bandit:thompson?model=gamma", "expected one of 'auto', 'beta', 'gaussian'"),
        ("bandit:thompson?model=1", "model=1; expected"),
        ("bandit:thompson?sigma=0", "from 0.0001 to 10000"),
        ("bandit:thompson?sigma=NaN", "sigma=nan; expected"),
        ("bandit:thompson?mean=x", "mean='x'; expected"),
        ("bandit:thompson?deviation=1e-300", "deviation=1e-300; expected"),
        ("bandit:", "expected 'random'"),
    ],
)
def test_a_spec_that_names_no_rule_is_refused_in_one_line(spec: str, says: str):
    with pytest.raises(ValueError, match=says) as caught:
        make_policy(spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "rule"),
    [
        ("bandit:ucb", UCB(0.5)),
        ("bandit:ucb?alpha=2", UCB(2)),
        ("bandit:ucb?alpha=0", UCB(0)),
        ("bandit:linucb?alpha=1.5&middle=0", LinUCB(1.5, 0)),
        ("bandit:epsilon-greedy?epsilon=1", EpsilonGreedy(1)),
        (
            "bandit:thompson?model=gaussian&sigma=3&mean=0&deviation=3",
            Thompson("gaussian", 3, 0, 3),
        ),
    ],
)
def test_an_option_reaches_its_rule(spec: str, rule: object):
    policy = make_policy(spec)
    assert policy._rule == rule  # type: ignore[attr-defined]


def test_every_rule_can_be_made_without_options_and_refuses_a_wrong_one():
    for name in RULES:
        bandit_policy(name, {})
        with pytest.raises(ValueError, match=f"policy 'bandit:{name}' has no option 'speed'"):
            bandit_policy(name, {"speed": 1})
