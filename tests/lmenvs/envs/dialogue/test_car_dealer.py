import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lmenvs.core import TextEnv
from lmenvs.envs.control.microwave import Microwave
from lmenvs.envs.dialogue import car_dealer_seller as sellers
from lmenvs.envs.dialogue.car_dealer import ACCEPT_LINE, TURN_LIMIT, CarDealer
from lmenvs.envs.dialogue.car_dealer_rules import PERSONAS, ceiling
from lmenvs.references import references

HOSTILE = (
    *(
        "",
        "\x00",
        "\n\r\t",
        "\ud800",
        "\x1b[31m",
        "🚗" * 50,
        "שלום",
        "\u202e$1",
        "٣",
        "-1",
        "1e309",
    ),
    *('{"price": 1}', "'; DROP TABLE cars; --", "$(reboot)", "[[[[" * 999, "%s {0} {price}", "NaN"),
    *("$" * 100_000, "9" * 100_000, "1,000 " * 17_000, "deal " * 20_000, "a" * 100_000),
    *("thirty-two " * 9_000, "what is the budget? " * 5_000, "\n" * 100_000, "é" * 50_000),
)


def with_buyer(env: CarDealer, **changes: Any) -> None:
    """The same lot and words to come, another hidden buyer."""
    here = env.snapshot()
    changed = env.scenario._replace(**changes)
    patience = PERSONAS[changed.persona].patience
    state = {"scenario": changed.content, "talk": (patience, -1, *[0] * 7), "sold": 0}
    env.restore(replace(here, state=state))


def started(seed: int = 0, **arguments: Any) -> CarDealer:
    env = CarDealer(**arguments)
    env.reset(seed=seed)
    return env


def wish(env: CarDealer) -> int:
    return [car.brand for car in env.scenario.lot].index(env.scenario.brand)


def expert(env: TextEnv, generator: np.random.Generator) -> str:
    return env.expert_action()


def returns(player: Callable[[TextEnv, np.random.Generator], str], seeds: range) -> list[float]:
    env, totals = CarDealer(), list[float]()
    for seed in seeds:
        env.reset(seed=seed)
        generator, total, over = np.random.default_rng((seed, 3)), 0.0, False
        while not over:
            _, reward, over, _, _ = env.step(player(env, generator))
            total += float(reward)
        totals.append(total)
    return totals


def test_a_sale_pays_the_price_over_the_mean_of_budget_and_list_price():
    for reward in ("score", "lmrl", "price"):
        env = started(reward=reward)
        car = wish(env)
        env.step(f"I suggest car {car + 1}.")
        price = int(0.5 * env.scenario.lot[car].price)
        text, paid, terminated, truncated, info = env.step(f"${price:,}")
        mean = 0.5 * (env.scenario.budget + env.scenario.lot[car].price)
        expected = price / 1000 if reward == "price" else price / mean
        assert paid == pytest.approx(expected)
        assert (terminated, truncated, info["success"], env.progress()) == (True, False, True, 1.0)
        assert f"${price:,}" in text


@pytest.mark.parametrize(
    ("reward", "budget", "paid"),
    [
        ("score", 60_000, -0.5),
        ("score", 20_000, 0.0),
        ("lmrl", 60_000, -0.5),
        ("lmrl", 20_000, 0.5),
        ("price", 60_000, 0.0),
    ],
)
def test_a_lost_sale_costs_what_the_rules_say(reward: Any, budget: int, paid: float):
    env = started(reward=reward)
    car = wish(env)
    lot = tuple(each._replace(price=40_000) for each in env.scenario.lot)
    with_buyer(env, lot=lot, budget=budget)
    env.step(f"car {car + 1}")
    rewards = [0.0]
    while not (ended := env.step("You idiot"))[2]:
        rewards.append(ended[1])
    assert ended[1] == paid and not any(rewards)
    assert ended[4]["success"] is False and env.progress() < 1.0


def test_the_fiftieth_line_is_the_last():
    env = started()
    for _ in range(TURN_LIMIT - 1):
        assert not env.step("")[2]
    _, paid, terminated, truncated, info = env.step("")
    assert (terminated, truncated, info["success"]) == (True, False, False)
    listed = env.scenario.lot[wish(env)].price
    assert paid == min(0.0, -(env.scenario.budget - listed) / listed)


def test_an_accepted_offer_is_the_price():
    env = started(reward="price")
    env.step(f"car {wish(env) + 1}")
    env.step(f"at list price plus nothing, for ${env.scenario.lot[wish(env)].price * 2:,}")
    bid = env.talk.bid
    assert bid > 0 and f"${bid:,}" in env.observation
    assert env.step(ACCEPT_LINE)[1] == bid / 1000


def test_reductions_count_from_the_last_price_or_the_list():
    env = started()
    car = wish(env)
    listed = env.scenario.lot[car].price
    with_buyer(env, budget=listed // 2)
    env.step(f"car {car + 1}")
    seen: list[int] = []
    for line in ("at list price", "10% off", "$500 off", "I'll split the difference with you"):
        env.step(line)
        seen.append(env.talk.price)
    assert seen[:3] == [listed, round(0.9 * listed), round(0.9 * listed) - 500]
    assert seen[2] > seen[3] > env.talk.bid


def test_a_sum_that_is_no_price_for_a_car_sells_none():
    env = started()
    env.step("I suggest car 1.")
    _, _, terminated, _, _ = env.step("The floor mats are $800.")
    assert not terminated and env.talk.price == 0


@pytest.mark.parametrize(
    ("text", "error"),
    [("", "malformed"), ("qwerty", "malformed"), ("🚗", "malformed"), ("car 9", "unknown")],
)
def test_an_invalid_line_costs_its_turn_only(text: str, error: str):
    for mode in ("penalise", "noop"):
        env = started(on_invalid=mode)
        before = env.state_key()
        _, paid, terminated, _, info = env.step(text)
        assert (paid, terminated, info["error"], env.state_key()) == (0.0, False, error, before)
    env = started(on_invalid="terminate")
    with_buyer(env, budget=2 * env.scenario.lot[wish(env)].price)
    assert env.step(text)[1:3] == (-1.0, True)


def test_buyers_cannot_be_told_apart_by_lines_that_ask_nothing():
    lines = ("", "Hello!", "Deal!", "I can do 30", "I have cars", "It has leather", "50k?")
    told: list[list[str]] = []
    for persona in range(len(PERSONAS)):
        env = started(4)
        first = env.observation
        with_buyer(env, persona=persona, budget=10_000 * (1 + persona), features=(persona, 7))
        told.append([first, env.instructions, *(env.step(line)[0] for line in lines)])
    assert all(each == told[0] for each in told)


def test_the_first_text_shows_the_lot_and_nothing_of_the_buyer():
    env = started(2)
    for number, car in enumerate(env.scenario.lot, 1):
        assert f"{number}. " in env.observation and f"{car.name}, ${car.price:,}" in env.observation
    assert f"{env.scenario.budget:,}" not in env.observation
    assert str(env.scenario.budget) in env.answer().replace(",", "")


def test_the_expert_says_the_same_to_buyers_who_said_the_same():
    env = started(7)
    lines: list[list[str]] = []
    # both tell a budget of about $29,000
    for budget in (32_000, 32_500):
        env.reset(seed=7)
        with_buyer(env, budget=budget, persona=2)
        said: list[str] = []
        while env.talk.price == 0:
            said.append(env.expert_action())
            env.step(said[-1])
        lines.append(said)
    assert lines[0] == lines[1] and len(lines[0]) > 5
    firsts: set[str] = set()
    for persona, budget in enumerate((20_000, 30_000, 40_000, 50_000, 60_000, 70_000)):
        env.reset(seed=7)
        with_buyer(env, budget=budget, persona=persona, features=(persona, 7))
        firsts.add(env.expert_action())
    assert len(firsts) == 1


def test_the_expert_sells_for_far_more_than_the_list_price_seller_and_never_beyond_the_ceiling():
    sold = returns(expert, range(24))
    env = CarDealer()
    bounds: list[float] = []
    for seed in range(24):
        env.reset(seed=seed)
        bounds.append(ceiling(env.scenario)[0])
    assert all(got <= most + 1e-9 for got, most in zip(sold, bounds, strict=True))
    assert np.mean(sold) >= 0.97 * np.mean(bounds)
    scores = [
        float(np.mean(returns(player, range(24))))
        for player in (sellers.worst, sellers.naive, sellers.dataset, sellers.falling)
    ]
    assert scores == sorted(scores)
    assert np.mean(sold) > scores[-1] + 0.2


def test_the_row_holds_what_the_buyers_would_agree_to_at_most():
    env = CarDealer()
    bounds: list[tuple[float, int]] = []
    for seed in range(1000):
        env.reset(seed=seed)
        bounds.append(ceiling(env.scenario))
    score, price = np.mean(bounds, axis=0)
    assert references("lmenvs/CarDealer-v0")["max"].value == pytest.approx(score)
    dearest = references("lmenvs/CarDealer-v0?reward=price")["max"].value
    assert dearest == pytest.approx(price / 1000)


def test_scripted_sellers_refuse_another_game():
    for seller in (sellers.naive, sellers.falling, sellers.dataset, sellers.worst):
        with pytest.raises(ValueError, match="sells cars, got Microwave"):
            seller(Microwave(), np.random.default_rng(0))


def test_train_and_test_scenarios_do_not_meet():
    seen = {split: {started(seed, split=split).state_key() for seed in range(60)} for split in
            ("train", "test")}  # fmt: skip
    assert not seen["train"] & seen["test"]
    everything = {started(seed).state_key() for seed in range(60)}
    shared = sum(key in seen["train"] or key in seen["test"] for key in everything)
    assert shared >= 55  # the first draw of a seed is in one of the splits


def test_wrong_arguments_are_one_line():
    with pytest.raises(ValueError, match="reward='gold'; expected one of 'score', 'lmrl', 'price'"):
        CarDealer(reward="gold")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="split='half'"):
        CarDealer(split="half")  # type: ignore[arg-type]


def test_hostile_text_is_answered_quickly_and_in_few_words():
    env = started(on_invalid="noop")
    for text in HOSTILE:
        if env.snapshot().over:
            env.reset(seed=1)
        begun = time.process_time()
        said, *_ = env.step(text)
        assert time.process_time() - begun < 0.05
        assert len(said) < 400
    assert len(json.dumps(env.snapshot().state)) < 1000


def test_random_text_never_breaks_the_game():
    generator = np.random.default_rng(0)
    pieces = (
        *HOSTILE[:17],
        "car 2",
        "$30k",
        "deal",
        "?",
        "Toyota",
        "sunroof",
        "10% off",
        "no",
        "-",
    )
    env = started()
    for _ in range(400):
        if env.snapshot().over:
            env.reset()
        picks = generator.integers(len(pieces), size=int(generator.integers(1, 6)))
        _, paid, *_ = env.step(" ".join(pieces[int(pick)] for pick in picks))
        assert -5.21 <= paid <= 1.1
