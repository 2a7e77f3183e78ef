import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from agents import make_policy
from agents.bandits import (
    RULES,
    UCB,
    BanditPolicy,
    EpsilonGreedy,
    Greedy,
    History,
    LinUCB,
    Thompson,
)
from agents.protocols import Conversation
from agents.rollout import collect
from agents.scripted import ExpertPolicy
from lmenvs import Message
from lmenvs.regret import regrets

ARMS = ("red", "blue", "green")
OPENING = "Choose one button: 1 red, 2 blue, 3 green."


def history(*pulls: tuple[str, float], opening: str = OPENING) -> History:
    told = History(opening)
    for arm, reward in pulls:
        told.take(f"You pressed {arm}. Reward: {reward:g}.")
    return told


def conversation(*pulls: tuple[str, float], name: str = "c", seed: int = 0) -> Conversation:
    messages = [Message("system", "Play."), Message("user", OPENING)]
    for arm, reward in pulls:
        messages += [Message("assistant", arm)]
        messages += [Message("user", f"You pressed {arm}. Reward: {reward:g}.")]
    return Conversation(name, tuple(messages), (seed,))


def chosen(rule: str, *pulls: tuple[str, float], draws: int = 1) -> Counter[str]:
    policy = make_policy(f"bandit:{rule}")
    talks = [conversation(*pulls, name=str(seed), seed=seed) for seed in range(draws)]
    return Counter(action.text for action in policy.act(talks))


EVERY_ARM = (("red", 1), ("blue", 0), ("green", 1))


@pytest.mark.parametrize("rule", ["ucb", "greedy"])
def test_every_arm_is_tried_once_first_in_order(rule: str):
    for count, arm in enumerate(ARMS):
        assert chosen(rule, *EVERY_ARM[:count]) == {arm: 1}


def test_a_history_counts_what_was_told():
    told = history(("red", 1), ("blue", 0), ("red", 0))
    told.take("That is not one button; name one or say its number, 1 to 3.")
    assert (told.pulls, told.sums, told.binary) == ([2, 1, 0], [1.0, 0.0, 0.0], True)
    told.take("You pressed green. Reward: 0.53.")
    assert (told.pulls, told.sums, told.binary) == ([2, 1, 1], [1.0, 0.0, 0.53], False)


def test_ucb_maximises_the_index_worked_out_by_hand():
    # red 3 of 4, blue 1 of 2, green 0 of 1; t = 7, ln 7 = 1.9459
    pulls = (("red", 1),) * 3 + (("red", 0), ("blue", 1), ("blue", 0), ("green", 0))
    indices = [
        0.75 + math.sqrt(0.5 * 1.945910149 / 4),  # 1.2432
        0.50 + math.sqrt(0.5 * 1.945910149 / 2),  # 1.1975
        0.00 + math.sqrt(0.5 * 1.945910149 / 1),  # 0.9864
    ]
    assert indices == pytest.approx([1.2432, 1.1975, 0.9864], abs=5e-5)
    assert chosen("ucb", *pulls) == {"red": 1}
    # with alpha 1 the bonuses are 0.6975, 0.9864, 1.3950: 1.4475, 1.4864, 1.3950
    assert chosen("ucb?alpha=1", *pulls) == {"blue": 1}
    # with alpha 2 they are 0.9864, 1.3950, 1.9728: 1.7364, 1.8950, 1.9728
    assert chosen("ucb?alpha=2", *pulls) == {"green": 1}
    assert chosen("ucb?alpha=0", *pulls) == {"red": 1}


def test_greedy_adds_no_bonus():
    pulls = (("red", 1),) * 6 + (("red", 0),) * 4 + (("blue", 1), ("blue", 0), ("green", 0))
    assert chosen("greedy", *pulls) == {"red": 1}  # 0.6 > 0.5
    assert chosen("ucb", *pulls) == {"blue": 1}  # 0.6 + 0.36 < 0.5 + 0.80


def test_epsilon_is_the_share_of_uniform_choices():
    counts = chosen("epsilon-greedy?epsilon=0.3", *EVERY_ARM, draws=3000)
    # red leads (the first of two equals): 0.7 + 0.1; four standard deviations
    assert counts["red"] / 3000 == pytest.approx(0.8, abs=0.03)
    assert counts["blue"] / 3000 == pytest.approx(0.1, abs=0.022)


def test_uniform_is_uniform():
    counts = chosen("uniform", draws=3000)
    assert all(counts[arm] / 3000 == pytest.approx(1 / 3, abs=0.035) for arm in ARMS)


def test_thompsons_beta_posterior_is_counting():
    wins, misses = Thompson().beta(history(("red", 1), ("red", 0), ("red", 1), ("blue", 0)))
    assert wins.tolist() == [3, 1, 1] and misses.tolist() == [2, 2, 1]


def test_thompsons_beta_posterior_is_bayes_rule_on_a_grid():
    told = history(("red", 1), ("red", 0), ("red", 1))
    grid = (np.arange(20_000) + 0.5) / 20_000
    weights = grid * (1 - grid) * grid
    wins, misses = Thompson().beta(told)
    assert wins[0] / (wins[0] + misses[0]) == pytest.approx((grid * weights).sum() / weights.sum())


def test_thompsons_gaussian_posterior_is_bayes_rule_on_a_grid():
    rule = Thompson(model="gaussian", sigma=0.5, mean=1.0, deviation=2.0)
    told = history(("red", 0.3), ("red", 1.1))
    grid = np.linspace(-10, 12, 40_001)
    weights = np.exp(-(((grid - 1.0) / 2.0) ** 2) / 2)
    for reward in (0.3, 1.1):
        weights *= np.exp(-(((reward - grid) / 0.5) ** 2) / 2)
    weights /= weights.sum()
    means, deviations = rule.gaussian(told)
    mean = (grid * weights).sum()
    assert means[0] == pytest.approx(mean)
    assert deviations[0] == pytest.approx(math.sqrt((weights * (grid - mean) ** 2).sum()))
    assert (means[1], deviations[1]) == pytest.approx((1.0, 2.0))  # the prior


def test_thompson_draws_each_arm_as_often_as_it_is_likely_to_be_best():
    # Beta(2, 1) against Beta(1, 2): P(x > y) = 5/6
    talks = ["Choose one button: 1 red, 2 blue."]
    told = history(("red", 1), ("blue", 0), opening=talks[0])
    draws = [Thompson().choose(told, np.random.default_rng(seed)) for seed in range(4000)]
    assert draws.count(0) / 4000 == pytest.approx(5 / 6, abs=0.024)  # four standard deviations


def test_thompson_takes_measured_rewards_as_gaussian_unless_told_otherwise():
    told = history(("red", 5.5), ("blue", -3.0), ("green", 0.0))
    assert Thompson().choose(told, np.random.default_rng(0)) == 0
    with pytest.raises(ValueError, match="needs rewards of 0 and 1"):
        Thompson(model="beta").choose(told, np.random.default_rng(0))


def films(*pulls: tuple[str, float, str], waiting: str) -> History:
    told = History(f"Films:\n1 Amber\n2 Beacon\nVisitor: {pulls[0][2] if pulls else waiting}")
    following = [visitor for _, _, visitor in (*pulls[1:], ("", 0.0, waiting))]
    for (film, reward, _), visitor in zip(pulls, following, strict=False):
        told.take(f"You recommended {film}. Reward: {reward:.2f}.\nVisitor: {visitor}")
    return told


def test_linucb_maximises_the_index_worked_out_by_hand():
    # one feature, middle 0: after x = 1, r = 3 of Amber, A = 2, b = 3; Beacon A = 1, b = 0
    told = films(("Amber", 3.0, "1.00"), waiting="2.00")
    model = told.model(0.0)
    x = np.array([2.0])
    assert model.values(x).tolist() == [3.0, 0.0]
    assert model.bonuses(x, 0.5) == pytest.approx([0.5 * math.sqrt(4 / 2), 0.5 * math.sqrt(4)])
    nobody = np.random.default_rng(0)
    assert LinUCB(alpha=0.5, middle=0.0).choose(told, nobody) == 0  # 3.71 against 1
    assert LinUCB(alpha=6.0, middle=0.0).choose(films(waiting="2.00"), nobody) == 0  # equal: first
    told = films(("Amber", 3.0, "1.00"), waiting="2.00")
    assert LinUCB(alpha=6.0, middle=0.0).choose(told, nobody) == 1  # 3 + 8.49 against 12


def test_linucbs_value_and_bonus_with_two_numbers_are_those_worked_out_by_hand():
    # after x = (1, 2), r = 4 of Amber: A = [[2, 2], [2, 5]], its inverse [[5, -2], [-2, 2]] / 6,
    # b = (4 - 2.5) (1, 2) = (1.5, 3), A^-1 b = (1.5, 3) / 6 = (0.25, 0.5)
    told = films(("Amber", 4.0, "1.00, 2.00"), waiting="2.00, -1.00")
    model, x = told.model(2.5), np.array([2.0, -1.0])
    assert model.inverses[0] == pytest.approx(np.array([[5, -2], [-2, 2]]) / 6)
    # x' A^-1 b = 0.5 - 0.5; x' A^-1 x = (5 * 4 + 2 * 2 * 2 + 2) / 6 = 5
    assert model.values(x) == pytest.approx([2.5 + 0.0, 2.5])
    assert model.bonuses(x, 0.5) == pytest.approx([0.5 * math.sqrt(5), 0.5 * math.sqrt(5)])
    x = np.array([1.0, 1.0])
    # value 2.5 + 0.75; x' A^-1 x = (5 - 4 + 2) / 6 = 0.5 against 2 of a film never shown
    assert model.indices(x, 1.0) == pytest.approx([3.25 + math.sqrt(0.5), 2.5 + math.sqrt(2)])


def test_linucb_needs_a_visitor():
    with pytest.raises(ValueError, match="use bandit:ucb"):
        make_policy("bandit:linucb").act([conversation()])


@pytest.mark.parametrize(
    ("env", "rule"),
    [
        ("lmenvs/BernoulliBandit-v0?horizon=60", "ucb"),
        ("lmenvs/BernoulliBandit-v0?arms=20&context=guided&scenario=clothes", "ucb"),
        ("lmenvs/GaussianBandit-v0?spread=2&context=summary&scenario=ads", "ucb"),
        ("lmenvs/GaussianBandit-v0?scenario=videos", "ucb"),
        ("lmenvs/ContextualBandit-v0?horizon=60", "linucb"),
        ("lmenvs/ContextualBandit-v0?arms=30&horizon=40&context=guided&features=3", "linucb"),
    ],
)
def test_reading_the_texts_is_as_good_as_knowing_the_counts(env: str, rule: str):
    read, known = collect(env, f"bandit:{rule}", range(4)), collect(env, "expert", range(4))
    assert read == known


class Blind(BanditPolicy):
    """A policy whose conversations come without an environment."""

    def act(self, conversations: Sequence[Conversation]):
        return super().act([Conversation(c.id, c.messages, c.seed) for c in conversations])


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_looks_at_the_environment(rule: str):
    env = "lmenvs/ContextualBandit-v0?horizon=12"
    assert collect(env, Blind(RULES[rule]()), [0, 1]) == collect(env, f"bandit:{rule}", [0, 1])


class Forgetful(BanditPolicy):
    """A policy that reads every conversation from the start."""

    def act(self, conversations: Sequence[Conversation]):
        actions = super().act(conversations)
        self.forget([conversation.id for conversation in conversations])
        return actions


@pytest.mark.parametrize("rule", ["ucb", "thompson", "linucb"])
def test_remembering_changes_nothing(rule: str):
    env = "lmenvs/ContextualBandit-v0?horizon=30"
    one, other = (collect(env, kind(RULES[rule]()), range(3)) for kind in (BanditPolicy, Forgetful))
    assert one == other


def test_an_id_that_stands_for_another_conversation_is_read_anew():
    policy = BanditPolicy(UCB())
    policy.act([conversation(("red", 1), ("blue", 1))])
    assert policy.act([conversation(("red", 1))])[0].text == "blue"
    assert policy.act([conversation(("green", 1), ("red", 1))])[0].text == "blue"
    policy.forget(["c", "never seen"])
    assert not policy._known


def test_width_and_order_change_nothing():
    talks = [conversation(*EVERY_ARM, name=str(seed), seed=seed) for seed in range(20)]
    policy = make_policy("bandit:thompson")
    together = [action.text for action in policy.act(talks)]
    alone = [make_policy("bandit:thompson").act([talk])[0].text for talk in reversed(talks)]
    assert together == alone[::-1] and len(set(together)) > 1


def losses(env: str, rule: str, episodes: int) -> np.ndarray:
    """The mean regret of every turn."""
    played = collect(env, f"bandit:{rule}", range(episodes), record=False)
    return np.mean([regrets(episode) for episode in played], axis=0)


def test_the_regret_of_ucb_grows_ever_more_slowly():
    env = "lmenvs/BernoulliBandit-v0?horizon=300"
    quarters = losses(env, "ucb", 10).reshape(4, -1).sum(axis=1)
    assert quarters[0] > quarters[1] > quarters[3] and quarters[3] < 0.4 * quarters[0]
    uniform = losses(env, "uniform", 2).sum()
    assert quarters.sum() < 0.3 * uniform


def test_linucb_beats_ucb_where_there_is_a_context():
    env = "lmenvs/ContextualBandit-v0"
    linear, plain = losses(env, "linucb", 3).sum(), losses(env, "ucb", 3).sum()
    assert linear < 0.6 * plain


def test_greedy_is_stuck_more_often_than_ucb():
    env = "lmenvs/BernoulliBandit-v0?horizon=60&arms=2&gap=0.3"
    stuck = {
        rule: sum(
            len({turn.action.text for turn in episode.turns[20:]}) == 1 and not episode.success
            for episode in collect(env, f"bandit:{rule}", range(40), record=False)
        )
        for rule in ("greedy", "ucb")
    }
    assert stuck["greedy"] >= 3 and stuck["ucb"] == 0


def test_a_policy_that_meets_no_bandit_says_so():
    with pytest.raises(ValueError, match="tagged `bandit`"):
        collect("lmenvs/Microwave-v0", "bandit:ucb", [0])


def test_an_expert_and_a_rule_meet_the_same_tasks():
    env = "lmenvs/BernoulliBandit-v0"
    one, other = collect(env, ExpertPolicy(), range(3)), collect(env, "bandit:greedy", range(3))
    assert [e.turns[0].state_key for e in one] == [e.turns[0].state_key for e in other]
    assert isinstance(RULES["greedy"](), Greedy) and EpsilonGreedy().epsilon == 0.1
