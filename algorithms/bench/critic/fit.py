"""A critic is fitted to a player's episodes and set beside the player's exact values (torch)."""

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from agents.chat import Chat
from agents.critics import move_towards

from ... import support
from ...credit import discounted_returns, explained_variance, lambda_targets
from ...forward import by_length
from .inputs import Inputs, Layouts, Played, Shown
from .net import Critic

MICRO_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a critic is made and fitted."""

    shown: Shown = "turn"  # what it reads of a turn: the whole episode, or its observation
    apart: bool = False  # observation and action are read apart and joined in the head
    beyond: bool = False  # Q is read where the next observation begins, not at the action's end
    product: bool = False  # the joining head sees the product of the two as well
    residual: bool = False  # Q = V + a head
    heads: int = 2  # of each kind; the smallest counts
    q_lam: float = 0.0  # of Q's target: 0 is one step, 1 the return
    v_lam: float | None = None  # of V's target; None: the mean of Q over the player's actions
    siblings: int = 0  # how many actions that mean draws; 0 takes all with their probabilities
    warm: float = 0.25  # the share of the steps that fit returns first
    scale: Literal["raw", "mean", "standard"] = "standard"  # what a head's 0 and 1 are in returns
    polyak: float = 0.1  # how far the target critic follows after every step
    steps: int = 300
    batch_size: int = 16  # episodes per step
    learning_rate: float = 2e-3
    anneal: float = 0.1  # the share of the learning rate that is left at the end
    max_norm: float = 1.0


def fit(
    model: PreTrainedModel,
    chat: Chat,
    played: Sequence[Played],
    held_out: Sequence[Played],
    recipe: Recipe,
    discount: float,
    seed: int,
    checks: int = 10,
) -> dict[str, object]:
    """Fit a critic and measure it, `checks` times on the way."""
    generator = np.random.default_rng((seed, 1))
    with torch.random.fork_rng():
        support.seed_all(seed)
        critic = make_critic(model, played, recipe, discount)
    target = copy.deepcopy(critic).requires_grad_(False)
    optimizer = torch.optim.AdamW(critic.parameters(), lr=recipe.learning_rate, weight_decay=0.0)
    layouts = Layouts(chat, recipe.shown, recipe.beyond)
    judged = layouts.lay_out(held_out)
    marks = {round(recipe.steps * (i + 1) / checks) for i in range(checks)}
    curve: list[dict[str, float]] = []
    seconds, began = 0.0, time.perf_counter()
    warm = round(recipe.warm * recipe.steps)
    for step in range(1, recipe.steps + 1):
        share = (step - 1) / recipe.steps
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * (1 - (1 - recipe.anneal) * share)
        chosen = [played[i] for i in generator.integers(len(played), size=recipe.batch_size)]
        update(
            critic, target, optimizer, chosen, layouts, recipe, discount, step <= warm, generator
        )
        if step in marks:
            seconds += time.perf_counter() - began
            found = measure(critic, judged, held_out)
            curve.append({"step": step, "seconds": seconds, **found})
            began = time.perf_counter()
    return {**curve[-1], "curve": curve}


def make_critic(
    model: PreTrainedModel, played: Sequence[Played], recipe: Recipe, discount: float
) -> Critic:
    """A new critic, with the scale that its episodes' returns have."""
    returns = np.concatenate([monte_carlo(one, discount) for one in played])
    return Critic(
        model,
        heads=recipe.heads,
        apart=recipe.apart,
        product=recipe.product,
        residual=recipe.residual,
        centre=0.0 if recipe.scale == "raw" else float(returns.mean()),
        spread=max(float(returns.std()), 1e-6) if recipe.scale == "standard" else 1.0,
    )


def monte_carlo(one: Played, discount: float) -> np.ndarray:
    """The return that followed each turn."""
    return discounted_returns(one.rewards_T, discount)


def update(
    critic: Critic,
    target: Critic,
    optimizer: torch.optim.Optimizer,
    played: Sequence[Played],
    layouts: Layouts,
    recipe: Recipe,
    discount: float,
    warm: bool,
    generator: np.random.Generator,
) -> None:
    """One step on these episodes, then one Polyak step of the target critic."""
    given = layouts.lay_out(played)
    q_targets, v_targets = targets(target, given, played, recipe, discount, warm, generator)
    total = q_targets.numel() * critic.spread**2
    for rows, turns, place in _parts(given):
        said = critic.read(given.rows, rows, branches=recipe.shown == "turn")
        v = said.v.flatten(0, 1)[place]
        if said.q_taken is not None:
            q = said.q_taken.flatten(0, 1)[place]
        else:
            assert said.q_all is not None
            q = said.q_all.flatten(0, 1)[place, given.taken_N[turns]]
        loss = ((q - q_targets[turns]) ** 2).sum() + ((v - v_targets[turns]) ** 2).sum()
        (loss / total).backward()
    support.optimizer_step(optimizer, critic.parameters(), recipe.max_norm)
    move_towards(target, critic, recipe.polyak)


def _parts(given: Inputs) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """(rows, turns, the turns' places among the rows') of each pass."""
    turns = given.rows.batch.turn_mask.shape[1]
    if turns == 1:  # observations are short, and a turn's row may be another's too
        yield torch.arange(len(given.rows.batch)), torch.arange(len(given.place_N)), given.place_N
        return
    row_N = given.place_N // turns
    for rows in by_length(given.rows.batch.lengths, MICRO_TOKENS):
        width = int(given.rows.batch.turn_mask[rows].sum(-1).max())
        number = torch.full((len(given.rows.batch),), -1)
        number[rows] = torch.arange(len(rows))
        own = (number[row_N] >= 0).nonzero()[:, 0]
        yield rows, own, number[row_N[own]] * width + given.place_N[own] % turns


@torch.no_grad()
def judge(critic: Critic, given: Inputs, branches: bool = True) -> tuple[Tensor, Tensor | None]:
    """(V [N, H], Q [N, A, H]) of all turns, Q where it is asked for."""
    values, q_values = [], []
    order = []
    for rows, turns, place in _parts(given):
        said = critic.read(given.rows, rows, branches)
        values.append(said.v.flatten(0, 1)[place])
        if said.q_all is not None:
            q_values.append(said.q_all.flatten(0, 1)[place])
        order.append(turns)
    back = torch.cat(order).argsort()
    return torch.cat(values)[back], torch.cat(q_values)[back] if q_values else None


def targets(
    target: Critic,
    given: Inputs,
    played: Sequence[Played],
    recipe: Recipe,
    discount: float,
    warm: bool,
    generator: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """What the Q heads and the V heads are fitted to: [N, H] each."""
    heads = recipe.heads
    if warm or (recipe.q_lam == 1.0 and recipe.v_lam == 1.0):
        returns = np.concatenate([monte_carlo(one, discount) for one in played])
        both = torch.from_numpy(returns).float()[:, None].expand(-1, heads)
        return both, both
    v, q = judge(target, given, branches=recipe.v_lam is None)
    ends = np.cumsum([len(one.episode.turns) for one in played])[:-1]

    def backed_up(lam: float) -> Tensor:
        columns = []
        for head in range(heads):
            values_ET = np.split(v[:, head].double().numpy(), ends)
            columns.append(
                np.concatenate(
                    [
                        lambda_targets(one.rewards_T, values, discount, lam)
                        for one, values in zip(played, values_ET, strict=True)
                    ]
                )
            )
        return torch.from_numpy(np.stack(columns, -1)).float()

    if recipe.v_lam is not None:
        return backed_up(recipe.q_lam), backed_up(recipe.v_lam)
    assert q is not None
    weights_NA = given.chances_NA
    if recipe.siblings:
        drawn = torch.from_numpy(_draw(weights_NA.numpy(), recipe.siblings, generator))
        weights_NA = drawn / recipe.siblings
    return backed_up(recipe.q_lam), (weights_NA[..., None] * q).sum(1)


def _draw(chances_NA: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """How often each action was drawn at each turn."""
    shares = chances_NA.astype(np.float64)
    return generator.multinomial(count, shares / shares.sum(-1, keepdims=True)).astype(np.float32)


def measure(critic: Critic, given: Inputs, played: Sequence[Played]) -> dict[str, float]:
    """How much of the exact advantages and values a critic explains, over all admissible actions
    of the turns that were visited.
    """
    v, q = judge(critic, given)
    assert q is not None
    return compare(v.min(-1).values.numpy(), q.min(-1).values.numpy(), played)


def compare(v_N: np.ndarray, q_NA: np.ndarray, played: Sequence[Played]) -> dict[str, float]:
    """The measures of values [N] and action values [N, A] beside the truth."""
    moves_N = [moves for one in played for moves in one.moves_T]
    true_v = np.array([moves.value for moves in moves_N])
    truth = np.concatenate([m.q_A - m.value for m in moves_N])
    said = np.concatenate([q[: len(m.q_A)] - v for v, q, m in zip(v_N, q_NA, moves_N, strict=True)])
    best = [
        m.q_A[int(q[: len(m.q_A)].argmax())] > m.q_A.max() - 1e-9
        for q, m in zip(q_NA, moves_N, strict=True)
    ]
    return {
        "advantage": explained_variance(said, truth),
        "value": explained_variance(v_N, true_v),
        "best": float(np.mean(best)),
        "offset": float((said - truth).mean()),
        "ratio": float(said.std() / truth.std()),
    }
