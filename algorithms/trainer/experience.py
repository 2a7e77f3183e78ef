"""Episodes as training sees them: their tokens, and what the models say of these (torch)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from lmenvs.types import Episode

from .. import losses
from ..batch import TokenBatch, make_batch
from ..credit import equal_groups, penalised_rewards
from ..forward import recompute
from ..metrics import normalised
from ..mismatch import sampler_logprobs
from ..reference import Reference
from .config import Config
from .learner import Learner
from .objective import EqualGroups, Normalise


@dataclass(frozen=True, slots=True)
class Experience:
    """An iteration's episodes, read by the models before the first step.

    Attributes:
        played: The episodes as they were played.
        episodes: As credit sees them: with `kl_in="reward"` the rewards are the penalised ones.
        tokens: The batch.
        mask: [B, L] the policy tokens that are trained.
        trained_turns_ET: Which turns these stand in, one array of booleans per episode.
        old_logprobs: [B, L] by the learner, so that the first ratio is exactly 1.
        entropies: [B, L] of the distributions that the policy tokens were drawn from.
        sampled: [B, L] log-probabilities of what is trained by the sampler, nan where it said none.
        reference: [B, L] by what the policy is held close to in the loss, or None.
        divergence: With `kl_in="reward"` what was taken off: `kl/reference`, k1 per trained token.
    """

    played: list[Episode]
    episodes: list[Episode]
    tokens: TokenBatch
    mask: Tensor
    trained_turns_ET: list[np.ndarray]
    old_logprobs: Tensor
    entropies: Tensor
    sampled: Tensor
    reference: Tensor | None
    divergence: Mapping[str, float]

    def spread(self, advantages_ET: Sequence[np.ndarray], how: Normalise = "none") -> Tensor:
        """Every token gets its turn's advantage: one array per episode -> [B, L].

        Normalised over the trained turns: a turn counts once, however long it is.

        Raises:
            ValueError: if an episode has not one advantage per turn.
        """
        self._check_turns(advantages_ET)
        return self.tokens.spread(_prepared(advantages_ET, self.trained_turns_ET, how))

    def lay_out(
        self, advantages_ETL: Sequence[Sequence[np.ndarray]], how: Normalise = "none"
    ) -> Tensor:
        """Every token gets its own advantage: a list per episode of one array per turn -> [B, L].

        Normalised over the tokens of the trained turns.

        Raises:
            ValueError: as `spread`, or if a turn has not one advantage per token.
        """
        self._check_turns(advantages_ETL)
        counts_ET = [[len(tokens) for tokens in turns_TL] for turns_TL in advantages_ETL]
        joined_EL = [np.concatenate([np.zeros(0), *turns_TL]) for turns_TL in advantages_ETL]
        trained_EL = [
            np.repeat(trained_T, counts_T)
            for trained_T, counts_T in zip(self.trained_turns_ET, counts_ET, strict=True)
        ]
        prepared_ETL = [
            np.split(joined_L, np.cumsum(counts_T)[:-1])
            for joined_L, counts_T in zip(
                _prepared(joined_EL, trained_EL, how), counts_ET, strict=True
            )
        ]
        return self.tokens.token_grid(prepared_ETL)

    def _check_turns(self, advantages_E: Sequence[Sequence[object] | np.ndarray]) -> None:
        for episode, advantages in zip(self.episodes, advantages_E, strict=True):
            if len(advantages) != len(episode.turns):
                raise ValueError(
                    f"episode {episode.id}: {len(advantages)} advantages for {len(episode.turns)} "
                    "turns; credit must return one per turn"
                )

    def trained(self, numbers_ET: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Of one number per turn, those of the trained turns."""
        return _chosen(numbers_ET, self.trained_turns_ET)


def _chosen(numbers_ET: Sequence[np.ndarray], trained_ET: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [
        np.asarray(numbers_T)[trained_T]
        for numbers_T, trained_T in zip(numbers_ET, trained_ET, strict=True)
    ]


def _prepared(
    advantages_ET: Sequence[np.ndarray], trained_ET: Sequence[np.ndarray], how: Normalise
) -> Sequence[np.ndarray]:
    """Normalised over what is trained, and 0 elsewhere."""
    if how == "none":
        return advantages_ET
    chosen_ET = _chosen(advantages_ET, trained_ET)
    if how == "standardise":
        chosen_ET = normalised(chosen_ET)
    else:
        mean = np.concatenate([np.zeros(0), *chosen_ET]).mean()
        chosen_ET = [chosen - mean for chosen in chosen_ET]
    prepared_ET = [np.zeros(len(trained_T)) for trained_T in trained_ET]
    for prepared, trained_T, chosen in zip(prepared_ET, trained_ET, chosen_ET, strict=True):
        prepared[trained_T] = chosen
    return prepared_ET


def read_episodes(
    learner: Learner,
    episodes: Sequence[Episode],
    config: Config,
    reference: Reference | None = None,
    trained_turns_ET: Sequence[np.ndarray] | None = None,
) -> Experience:
    """Batch the episodes and let the learner and the reference read them.

    Args:
        learner: Whose policy reads.
        episodes: What was played.
        config: The objective says whether a KL belongs to the rewards.
        reference: What the policy is held close to.
        trained_turns_ET: Which turns are trained: booleans per episode; None for all. A turn that
            several episodes share is so trained once.
    """
    tokens = make_batch(episodes, learner.chat).to(learner.model.device)
    trained_ET = [np.ones(len(episode.turns), bool) for episode in episodes]
    if trained_turns_ET is not None:
        trained_ET = [np.asarray(turns, bool) for turns in trained_turns_ET]
    mask = tokens.spread([trained_T.astype(float) for trained_T in trained_ET]) > 0
    old_logprobs, entropies = recompute(learner.model, tokens, config.micro_tokens)
    near = None if reference is None else reference.logprobs(tokens, config.micro_tokens)
    seen, divergence = list(episodes), {}
    if near is not None and config.objective.kl_in == "reward":
        log_ratios = old_logprobs - near
        divergence = {"kl/reference": float(losses.masked_mean(log_ratios, mask))}
        log_ratios_ETL = tokens.by_token(log_ratios, len(episodes))
        rewards_ET = [[turn.reward for turn in episode.turns] for episode in episodes]
        penalised_ET = penalised_rewards(rewards_ET, log_ratios_ETL, config.objective.reference_kl)
        seen = [_rewarded(e, r) for e, r in zip(episodes, penalised_ET, strict=True)]
        near = None
    # of other turns it may be long ago: they tell nothing of the sampler and the learner of now
    sampled = sampler_logprobs(tokens, episodes).masked_fill(~mask, math.nan)
    return Experience(
        played=list(episodes),
        episodes=seen,
        tokens=tokens,
        mask=mask,
        trained_turns_ET=trained_ET,
        old_logprobs=old_logprobs,
        entropies=entropies,
        sampled=sampled,
        reference=near,
        divergence=divergence,
    )


def _rewarded(episode: Episode, rewards_T: np.ndarray) -> Episode:
    turns = tuple(
        replace(turn, reward=float(reward))
        for turn, reward in zip(episode.turns, rewards_T, strict=True)
    )
    return replace(episode, turns=turns)


def kept_groups(episodes: Sequence[Episode], how: EqualGroups) -> list[Episode]:
    """All episodes, or with "drop" those whose group's returns differ; all where no group's do.

    A group of equal returns has no gradient; kept, it still counts in the means that a loss takes.
    """
    if how == "keep":
        return list(episodes)
    returns_E = [episode.total_reward for episode in episodes]
    equal_E = equal_groups(returns_E, [str(episode.group) for episode in episodes])
    kept = [episode for episode, equal in zip(episodes, equal_E, strict=True) if not equal]
    return kept or list(episodes)
