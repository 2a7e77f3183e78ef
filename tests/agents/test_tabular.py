import math

import numpy as np
import pytest

from agents.protocols import Conversation
from agents.rollout import collect
from agents.tabular import TabularSoftmaxPolicy, history_of, observation_of
from lmenvs import Message, exact, make
from tests.support.games import Dice, rolls

OPEN, CLOSE = "open the microwave", "close the microwave"


def test_probabilities_are_the_softmax_of_the_row() -> None:
    table = TabularSoftmaxPolicy({"s": {"a": math.log(2), "b": 0.0, "elsewhere": 50.0}})
    assert table.probabilities("s", ["a", "b"]) == pytest.approx([2 / 3, 1 / 3])
    assert table("s", ["b", "a"]) == pytest.approx([1 / 3, 2 / 3])
    assert table("unseen", ["a", "b"]) == pytest.approx([0.5, 0.5])
    assert table.log_probability("s", ["a", "b"], "a") == pytest.approx(math.log(2 / 3))


def test_a_temperature_divides_the_logits_and_zero_takes_the_first_best() -> None:
    table = TabularSoftmaxPolicy({"s": {"a": 2 * math.log(3)}}, temperature=2.0)
    assert table("s", ["a", "b"]) == pytest.approx([0.75, 0.25])
    greedy = TabularSoftmaxPolicy({"s": {"a": 1.0, "b": 1.0}}, temperature=0)
    assert list(greedy("s", ["c", "b", "a"])) == [0.0, 1.0, 0.0]
    with pytest.raises(ValueError, match="greedy and has no gradient"):
        greedy.score("s", ["a"], "a")
    with pytest.raises(ValueError, match="temperature -1"):
        TabularSoftmaxPolicy(temperature=-1)


def test_large_logits_do_not_overflow() -> None:
    table = TabularSoftmaxPolicy({"s": {"a": 1e4, "b": 1e4}})
    assert table("s", ["a", "b", "c"]) == pytest.approx([0.5, 0.5, 0.0])


def test_the_score_is_the_derivative_of_the_log_probability() -> None:
    actions = ["a", "b", "c"]
    logits = {"a": 0.3, "b": -0.2, "c": 1.1}
    table = TabularSoftmaxPolicy({"s": logits}, temperature=0.7)
    for chosen in actions:
        numeric = []
        for moved in np.eye(3) * 1e-5:
            up, down = (TabularSoftmaxPolicy(table.logits, temperature=0.7) for _ in "ab")
            up.add("s", actions, moved)
            down.add("s", actions, -moved)
            ends = [one.log_probability("s", actions, chosen) for one in (up, down)]
            numeric.append((ends[0] - ends[1]) / 2e-5)
        assert table.score("s", actions, chosen) == pytest.approx(numeric, abs=1e-8)


def test_the_empty_table_is_the_uniform_policy() -> None:
    env = make("lmenvs/Microwave-v0")
    uniform = exact.solve(env, policy="uniform")
    tabular = exact.solve(env, policy=TabularSoftmaxPolicy())
    for key in uniform.start_states:
        assert tabular.value(key) == pytest.approx(uniform.value(key), abs=1e-12)


def test_play_returns_what_the_exact_value_says() -> None:
    env = make("lmenvs/Microwave-v0")
    first = env.reset(seed=0) and env.state_key()
    table = TabularSoftmaxPolicy({first: {OPEN: 1.0}})
    value = exact.solve(env, policy=table).value(first)
    episodes = collect("lmenvs/Microwave-v0", table, [0], group_size=2000)
    mean = sum(episode.total_reward for episode in episodes) / 2000
    deviation = math.sqrt(1 - value**2)  # every return is +1 or -1
    assert mean == pytest.approx(value, abs=4 * deviation / math.sqrt(2000))


def test_a_gradient_step_raises_the_exact_value() -> None:
    env = make("lmenvs/Microwave-v0")
    env.reset(seed=0)
    first, table = env.state_key(), TabularSoftmaxPolicy()
    values = []
    for _ in range(3):
        solution = exact.solve(env, policy=table)
        values.append(solution.value(first))
        actions = [OPEN, CLOSE]
        gradient = sum(
            table(first, actions)[i]
            * solution.q(first, action)
            * table.score(first, actions, action)
            for i, action in enumerate(actions)
        )
        table.add(first, actions, 5.0 * np.asarray(gradient))
    assert values[0] < values[1] < values[2]


def test_rows_may_be_states_observations_or_histories() -> None:
    script = rolls(1)
    collect(Dice, script, [0])
    last = script.asked[-1]
    assert observation_of(last) == last.messages[-1].content
    assert history_of(last) == "\n".join(
        [
            f"user: {last.messages[1].content}",
            "assistant: roll",
            f"user: {last.messages[3].content}",
        ]
    )
    for key in (observation_of, history_of):
        rows = {key(script.asked[0]): {"roll": 60.0}, key(last): {"stop": 60.0}}
        (episode,) = collect(Dice, TabularSoftmaxPolicy(rows, key=key), [0])
        assert [turn.action.text for turn in episode.turns] == ["roll", "stop"]


def test_a_table_needs_a_list_of_actions() -> None:
    conversation = Conversation("c", (Message("user", "Hello."),))
    with pytest.raises(ValueError, match="admissible_actions"):
        TabularSoftmaxPolicy(key=observation_of).act([conversation])
    with pytest.raises(ValueError, match="live environment"):
        TabularSoftmaxPolicy().key(conversation)
