"""Exact values of TextWorld games: a pool small enough to list has a model."""

from typing import Any

import numpy as np
import pytest

import lmenvs
from lmenvs import NoExactModel
from lmenvs.envs.textworld.coin_collector import distances
from lmenvs.envs.textworld.games import Recipe, find_game
from lmenvs.envs.textworld.session import Session
from lmenvs.exact import solve

COIN = "lmenvs/TextWorldCoinCollector-v0?level=104"


@pytest.mark.parametrize("number", [3, 7])
def test_the_value_of_a_coin_is_one_discounted_by_the_shortest_way(number):
    env: Any = lmenvs.make(f"{COIN}&games=1&first_game={number}")
    solution = solve(env, discount=0.9)
    env.reset(seed=0)
    steps = str(env.answer()).split(", ")
    needed = distances(env.game.logic())
    assert len(steps) == needed[env._states[0].room] == 4
    assert solution.start_value == pytest.approx(0.9**3)
    (key,) = solution.start_states
    for action in solution.actions(key):
        expected = 0.9**3 if action == steps[0] else 0.9**5
        assert solution.q(key, action) == pytest.approx(expected), action
    assert solution.value(key, t=9) == 0.0  # three turns left do not do


def test_uniform_play_is_what_random_walks_earn():
    name = f"{COIN}&games=3"
    exact = solve(name, policy="uniform").start_value
    env, wins = lmenvs.make(name), []
    for seed in range(600):
        env.reset(seed=seed)
        generator, done, total = np.random.default_rng((seed, 1)), False, 0.0
        while not done:
            _, reward, done, _, _ = env.step(str(generator.choice(env.admissible_actions() or ())))
            total += reward
        wins.append(total)
    assert abs(np.mean(wins) - exact) < 4 * np.std(wins) / np.sqrt(len(wins))


def test_a_player_who_knows_the_pool_knows_the_game_by_its_first_text():
    name = f"{COIN}&games=4"
    seen = solve(name, information="observation")
    assert seen.start_value == solve(name).start_value == 1.0
    assert len(seen.start_states) == 4


def test_the_example_file_has_a_model():
    solution = solve("lmenvs/TextWorldFile-v0?path=example", discount=0.5, horizon=8)
    assert solution.start_value == 0.5**3


def test_a_pool_without_end_is_refused_with_the_remedy():
    for name in ("CoinCollector", "Quest", "TreasureHunter", "Cooking"):
        with pytest.raises(NoExactModel, match="games=N, at most 1000") as raised:
            solve(f"lmenvs/TextWorld{name}-v0")
        assert "\n" not in str(raised.value)
    with pytest.raises(NoExactModel, match="relabel=False"):
        solve(f"{COIN}&games=2&relabel=true")
    with pytest.raises(NoExactModel, match="TextNav has no exact model"):
        solve("lmenvs/TextNav-v0")


def test_listing_the_starts_leaves_the_environment_where_it_is():
    env: Any = lmenvs.make(f"{COIN}&games=3")
    env.reset(seed=2)
    env.step(env.expert_action())
    before = env.snapshot()
    starts = env.start_states()
    assert env.snapshot() == before and len(starts) == 3
    assert env.step(env.expert_action())[4]["valid"]
    env.restore(before)
    for probability, start in starts:
        assert probability == pytest.approx(1 / 3)
        env.restore(start)
        fresh = lmenvs.make(f"{COIN}&games=3")
        text, _ = fresh.reset(options={"game": env.game_number})
        assert (env.observation, env.turn, env.state_key()) == (text, 0, fresh.state_key())


def test_a_game_is_the_same_with_and_without_its_plan():
    for recipe in (
        Recipe("quest", (("nb_rooms", 2), ("nb_objects", 3), ("quest_length", 4)), 1),
        Recipe("coin_collector", (("quest_length", 4), ("nb_rooms", 8)), 2),
    ):
        planned, plain = Session(find_game(recipe)), Session(find_game(recipe), planned=False)
        generator = np.random.default_rng(0)
        for _ in range(120):
            one, two = planned.state, plain.state
            assert (one.world, one.title, one.room) == (two.world, two.title, two.room)
            assert (one.score, one.commands, one.over) == (two.score, two.commands, two.over)
            assert two.policy is None and (one.policy is not None or one.over)
            if one.over:
                break
            command = str(generator.choice(one.commands or ()))
            answers = planned.run(command), plain.run(command)
            assert answers[0].text == answers[1].text and answers[0].valid == answers[1].valid
