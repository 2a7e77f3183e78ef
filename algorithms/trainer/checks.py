"""Refuse episodes that no credit can be given for, before anything is updated."""

import math
from collections.abc import Sequence

from lmenvs.types import Episode


def check_episodes(episodes: Sequence[Episode]) -> None:
    """Stop at the first episode that no credit can be given for.

    Raises:
        ValueError: for an episode without turns, with both flags or none set, with a reward that is
            no finite number, with tokens and log-probabilities that disagree, or in a group that
            plays another task; the line names the episode.
    """
    tasks: dict[str, Episode] = {}
    for episode in episodes:
        _check(episode)
        if episode.group is None:
            continue
        first = tasks.setdefault(episode.group, episode)
        if (first.env, first.seed, first.split) != (episode.env, episode.seed, episode.split):
            raise ValueError(
                f"group {episode.group}: expected one task, got {first.env}#{first.seed} (episode "
                f"{first.id}) and {episode.env}#{episode.seed} (episode {episode.id}); give each "
                "task a group of its own"
            )


def _check(episode: Episode) -> None:
    where = f"episode {episode.id}"
    if not episode.turns:
        raise ValueError(
            f"{where}: expected at least 1 turn, got 0; its first prompt may fill the model's "
            "window: take a model that reads more, or leave the task out"
        )
    if episode.terminated == episode.truncated:
        got = "both" if episode.terminated else "neither"
        raise ValueError(
            f"{where}: expected it to be terminated or truncated, got {got}; set exactly one"
        )
    for number, turn in enumerate(episode.turns):
        if not math.isfinite(turn.reward):
            raise ValueError(
                f"{where}: expected a finite reward, got {turn.reward} at turn {number} of "
                f"{len(episode.turns)}; mend the environment's rewards"
            )
        said, known = len(turn.action.token_ids), len(turn.action.logprobs)
        if known not in (0, said):
            raise ValueError(
                f"{where}: expected one log-probability per token, got {known} for {said} tokens "
                f"at turn {number}; mend the sampler, or give none"
            )
