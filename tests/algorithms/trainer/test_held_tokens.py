from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from algorithms.forward import policy_logprobs
from algorithms.trainer.experience import Experience
from algorithms.trainer.objective import Objective, weighted
from algorithms.trainer.update import update
from tests.support.learners import CONFIG, descend, prepared, under
from tests.support.training import flat, played

LOOSE = replace(CONFIG, target_kl=None, max_norm=1e9)  # nothing but the objective holds a step
CHANCE = np.random.default_rng  # of a seed


def random_advantages(seen: Experience, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.where(seen.mask, torch.randn(seen.mask.shape, generator=generator), 0.0)


def stepped(
    advantages: Tensor | None = None, *, seen: Experience | None = None, **options: Any
) -> tuple[Tensor, dict[str, float]]:
    """The weights after one step of plain descent with these options, and what was measured."""
    config = under(LOOSE, **options)
    learner, read = prepared(played(), config, "nothing")
    descend(learner, 0.1)
    seen = read if seen is None else seen
    given = random_advantages(seen) if advantages is None else advantages
    measured = update(learner, seen, given, config, CHANCE(0))
    return flat(learner.model), measured


def test_tokens_of_high_covariance_are_held_once_the_policy_moves():
    _, seen = prepared(played(), LOOSE, "nothing")
    advantages = 3 * random_advantages(seen)
    _, held = weighted(
        advantages,
        seen.mask,
        seen.old_logprobs,
        seen.entropies,
        seen.sampled,
        Objective(kl_covariance=0.2),
        CHANCE(0),
    )
    assert held is not None and int(held.sum()) == int(0.2 * int(seen.mask.sum()))
    assert torch.equal(stepped(advantages)[0], stepped(advantages, kl_covariance=0.2)[0])
    # which tokens are held is chance, and how far they would have gone: a sum over draws tells
    gaps = {share: sum(moved_apart(share, seed) for seed in range(4)) for share in (0.0, 0.2)}
    assert 0 < gaps[0.2] < 0.75 * gaps[0.0]


def moved_apart(share: float, seed: int) -> float:
    """How far 20 steps move the tokens whose covariance is high, with this share of them held."""
    config = replace(under(LOOSE, kl_covariance=share, clip_high=9.0), epochs=20)
    learner, seen = prepared(played(), config, "nothing")
    advantages = 3 * random_advantages(seen, seed)
    _, high = weighted(
        advantages,
        seen.mask,
        seen.old_logprobs,
        seen.entropies,
        seen.sampled,
        Objective(kl_covariance=0.2),
        CHANCE(0),
    )
    assert high is not None
    descend(learner, 0.1)
    update(learner, seen, advantages, config, CHANCE(0))
    now = policy_logprobs(learner.model, seen.tokens)[0].detach()
    return float((now - seen.old_logprobs)[high].abs().mean())
