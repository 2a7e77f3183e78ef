"""Learners with a small model and what they have read, for the tests of the trainers (torch)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from transformers import PreTrainedModel

from agents.chat import Chat
from algorithms import token_ppo, turn_ppo
from algorithms.batch import TokenBatch, make_batch
from algorithms.forward import policy_logprobs
from algorithms.trainer.credited import TokenCredit, TurnCredit
from algorithms.trainer.experience import Experience, read_episodes
from algorithms.trainer.learner import Judges, Learner
from algorithms.trainer.update import update
from algorithms.trainer.values import critic_of, judge_tokens, judge_turns
from lmenvs.types import Episode
from tests.support.language import with_random_heads
from tests.support.training import beginner, flat, played

Config = turn_ppo.Config
Unit = Literal["turns", "tokens"]
UNITS: tuple[Unit, ...] = ("turns", "tokens")
CONFIG = Config(discount=0.5, lam=0.5, epochs=1, minibatches=1)


def under(config: Config = CONFIG, **options: Any) -> Config:
    """The configuration with these options of its objective."""
    return replace(config, objective=replace(config.objective, **options))


def prepared(
    episodes: Sequence[Episode],
    config: Config = CONFIG,
    judges: Judges = "turns",
    of: tuple[PreTrainedModel, Chat] | None = None,
    **read: Any,
) -> tuple[Learner, Experience]:
    """A beginner (or the model given) whose critic says something, and what it has read."""
    learner = Learner(
        *(of or beginner()),
        config,
        judges,
        config.critic_learning_rate,
        entropy_bonus=config.objective.entropy_bonus,
    )
    if learner.critic is not None:
        with_random_heads(learner.critic)
    return learner, read_episodes(learner, episodes, config, **read)


def credited(
    learner: Learner, seen: Experience, config: Config = CONFIG
) -> TurnCredit | TokenCredit:
    """Advantages and value targets by the learner's own critic."""
    judged: tuple[TokenBatch, int, int] = (seen.tokens, len(seen.episodes), 10**6)
    if learner.judges == "turns":
        return turn_ppo.credit(seen.episodes, *judge_turns(critic_of(learner), *judged), config)
    one = token_ppo.Config(discount=config.discount, lam=config.lam)
    return token_ppo.credit(seen.episodes, *judge_tokens(critic_of(learner), *judged), one)


def trained(
    learner: Learner, seen: Experience, config: Config, given: TurnCredit | TokenCredit
) -> dict[str, float]:
    """One update by the credit."""
    how = config.objective.normalise
    advantages = (
        seen.spread(given.advantages_ET, how)
        if isinstance(given, TurnCredit)
        else seen.lay_out(given.advantages_ETL, how)
    )
    targets, chance = given.targets(seen.tokens), np.random.default_rng(0)
    return update(learner, seen, advantages, config, chance, value_targets=targets)


def updated(
    config: Config = CONFIG,
    episodes: Sequence[Episode] | None = None,
    *,
    sgd: float | None = None,
    judges: Unit = "turns",
) -> tuple[Learner, dict[str, float]]:
    """A learner after one update, and what that measured; with `sgd` by plain descent."""
    learner, seen = prepared(played() if episodes is None else episodes, config, judges)
    if sgd is not None:
        descend(learner, sgd)
    return learner, trained(learner, seen, config, credited(learner, seen, config))


def descend(learner: Learner, rate: float) -> None:
    """Step by plain descent: Adam would make rounding errors as large as its steps."""
    learner.optimizer = torch.optim.SGD(learner.trained, lr=rate)
    if learner.critic is not None:
        learner.critic_optimizer = torch.optim.SGD(learner.critic.parameters(), lr=rate)


def assert_first_step_is_credit_times_slope(
    episodes: Sequence[Episode],
    advantages_ETL: Sequence[Sequence[np.ndarray]],
    trained_turns_ET: Sequence[np.ndarray] | None = None,
) -> None:
    """One update moves the policy along the mean, over the trained tokens, of advantage times the
    gradient of the log-probability; each turn is read anew, in a batch of its own episode.
    """
    config = under(replace(CONFIG, max_norm=1e9), normalise="none")
    learner, seen = prepared(episodes, config, "nothing", trained_turns_ET=trained_turns_ET)
    descend(learner, 0.1)
    update(learner, seen, seen.lay_out(advantages_ETL), config, np.random.default_rng(0))
    plain, _ = beginner()
    wanted, count = torch.zeros(()), 0
    for index, one in enumerate(episodes):
        tokens = make_batch([one], learner.chat)
        logprobs, _ = policy_logprobs(plain, tokens)
        own = logprobs[tokens.policy_mask].split([len(t.action.token_ids) for t in one.turns])
        for turn, logprobs_L in enumerate(own):
            if trained_turns_ET is None or trained_turns_ET[index][turn]:
                advantages_L = torch.as_tensor(advantages_ETL[index][turn], dtype=torch.float32)
                wanted = wanted + (advantages_L * logprobs_L).sum()
                count += len(logprobs_L)
    slopes = torch.autograd.grad(wanted / count, list(plain.parameters()))
    step = 0.1 * torch.cat([slope.flatten() for slope in slopes])
    assert step.abs().max() > 1e-3
    moved = flat(learner.model) - flat(plain)
    torch.testing.assert_close(moved, step, atol=1e-6, rtol=1e-3)


def by_token(
    episodes: Sequence[Episode], advantages_ET: Sequence[np.ndarray]
) -> list[list[np.ndarray]]:
    """Each turn's advantage for each of its tokens."""
    return [
        [np.full(len(t.action.token_ids), a) for t, a in zip(e.turns, advantages_T, strict=True)]
        for e, advantages_T in zip(episodes, advantages_ET, strict=True)
    ]
