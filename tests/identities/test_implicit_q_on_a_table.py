"""Token values on tables end where dynamic programming does, through the tokens of real episodes.

Every play of Microwave is written out, as often as a random player plays it, encoded, laid out as a
batch, and credited by ILQL's own functions; only the network is a table: one entry for each state,
turn and beginning of an answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from pytest import approx
from torch import Tensor

from agents import tiny
from agents.chat import Chat
from agents.rollout import collect
from algorithms import ilql
from algorithms.batch import TokenBatch, make_batch
from algorithms.losses.implicit_q import (
    LARGEST_WEIGHT,
    advantage_weights,
    conservative,
    implicit_values,
)
from algorithms.token_values.network import Values
from algorithms.token_values.pieces import Piece, played_returns
from algorithms.token_values.reading import Judged
from lmenvs import exact
from lmenvs.registration import make
from lmenvs.types import Episode
from tests.support.training import MICROWAVE

DISCOUNT = 0.9
KEYS = tuple[tuple[str, int, tuple[int, ...]], ...]


@cache
def episodes() -> tuple[Episode, ...]:
    """2 ** 5 of them, in the frequencies of the uniform player: who has half the choices counts
    twice.
    """
    found: dict[tuple[str, ...], tuple[float, Episode]] = {}
    for episode in collect(MICROWAVE, "random", range(400)):
        env = make(MICROWAVE).unwrapped
        env.reset(seed=episode.seed)
        chance = 1.0
        for turn in episode.turns:
            chance /= len(env.admissible_actions())  # type: ignore[attr-defined]
            env.step(turn.action.text)
        found[tuple(turn.action.text for turn in episode.turns)] = chance, episode
    assert sum(chance for chance, _ in found.values()) == 1  # all there are
    texts = [
        text
        for _, e in found.values()
        for t in e.turns
        for text in (t.observation, " " + t.action.text)
    ]
    chat = Chat(tiny.make_tokenizer(texts * 4, 400))
    return tuple(
        chat.encode_episode(episode)
        for chance, episode in found.values()
        for _ in range(round(32 * chance))
    )


@cache
def laid_out() -> tuple[TokenBatch, KEYS]:
    """The batch, and which entry of the table each policy token reads, row by row."""
    chat = Chat(tiny.make_tokenizer(["a"], 300))
    keys = tuple(
        (str(turn.state_key), number, turn.action.token_ids[:said])
        for episode in episodes()
        for number, turn in enumerate(episode.turns)
        for said in range(len(turn.action.token_ids))
    )
    return make_batch(episodes(), chat), keys


@dataclass
class Table:
    """V of each entry, and Q of two heads for the token that was said there."""

    v: Tensor  # [entry]
    q: Tensor  # [head, entry and token]


def learned(
    target: Callable[[Sequence[Piece], Judged], list[list[np.ndarray]]],
    tau: float,
    *,
    to_q: bool = True,
    sweeps: int = 120,
) -> dict[tuple[str, int, tuple[int, ...]], float]:
    """V of every entry after fitting the table; V is fitted to Q of the slow heads, or to the
    target itself.
    """
    batch, keys = laid_out()
    row, column = batch.policy_mask.nonzero(as_tuple=True)
    said = batch.ids[row, column].tolist()
    entries = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    pairs = {pair: i for i, pair in enumerate(dict.fromkeys(zip(keys, said, strict=True)))}
    entry = torch.tensor([entries[key] for key in keys])
    pair = torch.tensor([pairs[one] for one in zip(keys, said, strict=True)])
    table = Table(
        torch.zeros(len(entries), dtype=torch.float32, requires_grad=True),
        torch.zeros(2, len(pairs), requires_grad=True),
    )
    pieces = [Piece(episode, 0.0) for episode in episodes()]
    mask = torch.ones(1, len(row), dtype=torch.bool)
    # every entry moves as far as if it stood alone in the mean
    often_v = torch.bincount(entry).float()
    often_q = torch.bincount(pair).float()
    for _ in range(sweeps):
        with torch.no_grad():
            v = table.v[entry]
            q = table.q[:, pair].amin(0)
            v_grid, q_grid = (torch.zeros(batch.ids.shape) for _ in range(2))
            v_grid[row, column], q_grid[row, column] = v, q
            judged = Judged(
                batch.by_token(v_grid, len(pieces)), [0.0] * len(pieces), q_grid, v_grid
            )
            y_grid = batch.token_grid(target(pieces, judged))
            y = y_grid[row, column][None]
        now = table.v[entry]
        loss = implicit_values(
            [q_head[None] for q_head in table.q[:, pair]],
            now[None],
            targets_for_q=y,
            targets_for_v=q[None] if to_q else y,
            mask=mask,
            tau=tau,
            total=1.0,
        )
        slope_v, slope_q = torch.autograd.grad(loss.loss, [table.v, table.q])
        with torch.no_grad():
            table.v -= 0.7 * slope_v / often_v
            table.q -= 0.7 * slope_q / often_q
    return {key: float(table.v[i].detach()) for key, i in entries.items()}


def first_tokens(
    values: dict[tuple[str, int, tuple[int, ...]], float], solution: exact.Solution
) -> tuple[np.ndarray, np.ndarray]:
    """V before a turn, by the table and exactly."""
    turns = [(key, turn, v) for (key, turn, said), v in values.items() if not said]
    return (
        np.array([v for *_, v in turns]),
        np.array([solution.value(key, turn) for key, turn, _ in turns]),
    )


def solved(policy: str) -> exact.Solution:
    return exact.solve(make(MICROWAVE), discount=DISCOUNT, policy=policy)  # type: ignore[arg-type]


def ilql_targets(tau: float, lam: float = 0.0):
    config = ilql.Config(values=Values(discount=DISCOUNT), expectile=tau, lam=lam)
    return lambda pieces, judged: ilql.credit(pieces, judged, config)


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_with_expectile_a_half_the_fixed_point_is_the_value_of_the_player(lam: float):
    mine, true = first_tokens(learned(ilql_targets(0.5, lam), 0.5), solved("uniform"))
    assert len(true) > 8 and true.std() > 0.1
    assert mine == approx(true, abs=1e-3)


def test_monte_carlo_returns_fit_the_value_of_the_player_too():
    def returns(pieces: Sequence[Piece], judged: Judged) -> list[list[np.ndarray]]:
        return played_returns(pieces, judged.behind_E, DISCOUNT, "turn")

    values = learned(returns, 0.5, to_q=False)
    mine, true = first_tokens(values, solved("uniform"))
    assert mine == approx(true, abs=1e-3)


def test_as_tau_goes_to_one_the_fixed_point_approaches_the_best_value():
    best = solved("optimal")
    gaps: list[float] = []
    for tau in (0.5, 0.95):
        mine, true = first_tokens(learned(ilql_targets(tau), tau, sweeps=200), best)
        gaps.append(float(np.abs(mine - true).max()))
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0.8 and gaps[1] < 0.2


def test_discounting_every_token_makes_a_longer_answer_worth_less():
    """With two tokens a turn the value is that of a discount per turn of discount squared."""
    config = ilql.Config(values=Values(discount=0.9, unit="token"), expectile=0.5)
    lengths = {len(turn.action.token_ids) for episode in episodes() for turn in episode.turns}
    assert lengths == {2}
    values = learned(lambda pieces, judged: ilql.credit(pieces, judged, config), 0.5)
    by_turn = exact.solve(make(MICROWAVE), discount=0.81, policy="uniform")
    mine, true = first_tokens(values, by_turn)
    # the reward follows the second token, so that what precedes the first is 0.9 times as much
    assert mine == approx(0.9 * true, abs=1e-3)


def row(*numbers: float) -> Tensor:
    return torch.tensor([list(numbers)], dtype=torch.float32)


def test_the_losses_are_those_computed_by_hand():
    mask = torch.tensor([[True, True, False]])
    loss = implicit_values(
        [row(1, 2, 9), row(0, 0, 9)],
        row(1.0, -1.0, 9.0),
        targets_for_q=row(2, 0, 9),
        targets_for_v=row(3, -2, 9),
        mask=mask,
        tau=0.9,
    )
    # Q: (1 + 4) / 2 and (4 + 0) / 2, each over 2 tokens; V: (0.9 * 4 + 0.1 * 1) / 2
    assert float(loss.loss) == approx(1.25 + 1.0 + 1.85)
    assert loss.metrics == approx({"q_error": 2.25, "v_error": 2.5})
    low = conservative([row(-1, -3, 9), row(-2, -2, 9)], mask, total=4)
    assert float(low.loss) == approx((1 + 3 + 2 + 2) / 4)
    assert low.metrics["conservative"] == approx(2.0)
    weights = advantage_weights(row(1.0, 20.0, 5.0), mask, temperature=2.0)
    assert weights.tolist()[0] == approx([np.exp(0.5), LARGEST_WEIGHT, 0.0])


def test_a_target_that_carries_a_gradient_is_refused():
    mask, wanted = torch.ones(1, 1, dtype=torch.bool), row(1.0).requires_grad_()
    for name in ("targets_for_q", "targets_for_v"):
        given = {"targets_for_q": row(1.0), "targets_for_v": row(1.0), name: wanted}
        q, v = given["targets_for_q"], given["targets_for_v"]
        with pytest.raises(ValueError, match="detach it where it is made"):
            implicit_values(
                [row(0.0)], row(0.0), targets_for_q=q, targets_for_v=v, mask=mask, tau=0.5
            )
    with pytest.raises(ValueError, match="detach"):
        advantage_weights(wanted, mask, 1.0)
