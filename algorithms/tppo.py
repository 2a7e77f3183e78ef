"""T-PPO: PPO that does not wait for episodes to end; they go on in the next iteration (torch).

Paper: Fan et al., Truncated Proximal Policy Optimization (2025). Every iteration plays each of
`episodes` conversations on by a window; what is unfinished is kept and goes on under the next
policy, and fresh episodes take the places of the finished ones. The policy is trained on the new
turns only (those were said by the present policy), with extended GAE, which bootstraps from the
value at the cut. The critic is fitted, apart from the policy, to the Monte Carlo returns of the
episodes that have finished, all of their turns.

Deviations: window, critic and GAE count turns (the paper: tokens). At the cut the paper takes the
value of the last token, as the next state is unknown; after a whole turn it is known, and its value
is read. The policy waits `warmup` iterations: until episodes have finished, all that a window's
turns were worth is what the critic says. A finished episode that one of our own limits cut short is
bootstrapped, too. An episode that goes on draws fresh chance in its environment, and its earlier
turns are read again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agents.protocols import Policy
from lmenvs.types import Episode, from_json, to_json

from .batch import TokenBatch
from .credit import discounted_returns, explained_variance, gae
from .metrics import update_metrics
from .settings import refuse_impossible
from .trainer.credited import TurnCredit
from .trainer.learner import Learner
from .trainer.objective import Objective, refuse_dropped_groups
from .trainer.session import Session, open_session
from .trainer.update import update
from .trainer.values import ValueTargets, critic_of, fit_critic, judge_turns


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds tasks, sampling and minibatches; the run repeats to the same numbers
    iterations: int = 60  # each plays one window and updates on it
    turn_budget: int | None = None  # stop earlier, after so many environment turns
    episodes: int = 128  # under way at once; more is steadier and slower
    window: int = 4  # turns an episode is played on per iteration; long waits, short guesses more
    warmup: int = 8  # iterations in which only the critic learns; it knows nothing at first
    discount: float = 0.95  # per turn; below 1 prefers short solutions
    lam: float = 0.9  # trust in sampled rewards (1) against the critic (0)
    objective: Objective = Objective(normalise="standardise")  # of the policy: clip, KL, masks
    target_kl: float | None = 0.03  # the policy rests for the iteration once it moved so far (nats)
    epochs: int = 2  # passes over an iteration's episodes
    minibatches: int = 4  # optimizer steps per pass
    learning_rate: float = 5e-4  # of the policy; a pretrained 1 B model wants about 1e-6
    critic_learning_rate: float = 1e-3  # of the critic
    anneal: float = 0.1  # over the last third, learning rates fall to this share; 1 holds them
    max_norm: float = 1.0  # gradients longer than this are shortened
    lora_rank: int = 0  # above 0 trains low-rank adapters instead of all weights
    max_new_tokens: int = 16  # an action longer than this is cut
    max_turns: int | None = None  # truncate episodes here, besides the task's own limit
    width: int = 128  # conversations answered at once
    micro_tokens: int = 2048  # padded tokens per pass; fits a CPU cache, a GPU likes 16 times more
    gradient_checkpointing: bool = False  # less memory for a third more time
    save_every: int = 10  # iterations between checkpoints
    engine: str = ""  # what samples, "" in this process; see agents.making.open_engine

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        refuse_impossible(self)
        refuse_dropped_groups(self.objective)
        if self.window < 1 or self.warmup < 0:
            raise ValueError(
                f"window {self.window}, warmup {self.warmup}; expected at least 1, and 0"
            )


def credit(
    episodes: Sequence[Episode],
    values_ET: Sequence[np.ndarray],
    bootstraps_E: Sequence[float],
    config: Config,
) -> TurnCredit:
    """Extended GAE of every turn so far, and Monte Carlo returns as what a critic is fitted to.

    Both end in `bootstraps_E`, the value behind the last turn, which is 0 where an episode
    terminated. GAE looks ahead only: the earlier turns of an episode do not change the new ones.
    """
    advantages_ET: list[np.ndarray] = []
    returns_ET: list[np.ndarray] = []
    for episode, values_T, bootstrap in zip(episodes, values_ET, bootstraps_E, strict=True):
        rewards_T = [turn.reward for turn in episode.turns]
        advantages_ET.append(gae(rewards_T, values_T, config.discount, config.lam, bootstrap))
        returns_ET.append(discounted_returns(rewards_T, config.discount, bootstrap))
    return TurnCredit(advantages_ET, returns_ET, list(values_ET))


def new_turns(episode: Episode) -> np.ndarray:
    """Which turns were played in this iteration: those behind the one it went on from."""
    first = 0 if episode.parent is None else episode.parent[1]
    return np.arange(len(episode.turns)) >= first


def unfinished(episode: Episode, config: Config) -> bool:
    """Whether it was the window that cut the episode, so that it can go on."""
    played = int(new_turns(episode).sum())
    limit = config.max_turns
    may_go_on = limit is None or len(episode.turns) < limit
    return episode.truncated and played == config.window and may_go_on


def put_away(
    episodes: Iterable[Episode], ancestors: Sequence[Episode], config: Config
) -> dict[str, list[str]]:
    """The unfinished episodes, and what those that they descend from, as lines of JSON.

    Replaying needs of an ancestor only the chance that it drew: its turns are left out.
    """
    known = {episode.id: episode for episode in ancestors}
    going = [episode for episode in episodes if unfinished(episode, config)]
    needed: dict[str, Episode] = {}
    for episode in going:
        while episode.parent is not None:
            episode = known[episode.parent[0]]
            needed[episode.id] = replace(episode, turns=())
    return {"going": list(map(to_json, going)), "ancestors": list(map(to_json, needed.values()))}


def taken_up(kept: dict[str, Any]) -> tuple[list[Episode], list[Episode]]:
    """What `put_away` wrote: the unfinished episodes and their ancestors."""
    going, ancestors = (list(map(from_json, kept.get(n, []))) for n in ("going", "ancestors"))
    return going, ancestors


def play_on(
    session: Session,
    policy: Policy,
    going: Sequence[Episode],
    ancestors: Sequence[Episode],
    seeds: np.ndarray,
    config: Config,
) -> list[Episode]:
    """Every unfinished episode played on by a window, and fresh ones by their first."""

    def until(start: int) -> int:
        return min(start + config.window, config.max_turns or start + config.window)

    episodes: list[Episode] = []
    half = config.episodes // 2  # may break in each call: of few, all
    for start in sorted({len(episode.turns) for episode in going}):
        alike = [episode for episode in going if len(episode.turns) == start]
        episodes += session.branch(
            policy, alike, [start], ancestors=ancestors, max_turns=until(start), allowed=half
        )
    if len(seeds):
        episodes += session.collect(policy, seeds, max_turns=until(0), allowed=half)
    return episodes


def fit_values(
    learner: Learner,
    tokens: TokenBatch,
    given: TurnCredit,
    over: Sequence[int],
    config: Config,
    generator: np.random.Generator,
) -> dict[str, float]:
    """Some epochs of critic steps on the rows of the episodes that are over."""
    if not over:  # there is nothing yet that the critic could learn from
        return {}
    values_ET, returns_ET = given.values_ET, given.value_targets_ET
    values, returns = (np.concatenate([n_ET[e] for e in over]) for n_ET in (values_ET, returns_ET))
    tokens = tokens.rows(np.flatnonzero(np.isin(tokens.episode.cpu().numpy(), over)))
    steps = min(config.minibatches, len(tokens))
    grid = tokens.turn_grid(returns_ET)
    total = float(tokens.turn_mask.sum()) / steps
    history: list[dict[str, float]] = []
    for _ in range(config.epochs):
        for rows in np.array_split(generator.permutation(len(tokens)), steps):
            targets = ValueTargets(grid[rows], tokens.turn_mask[rows])
            history.append(fit_critic(learner, tokens.rows(rows), targets, total, config))
    explained = explained_variance(values, returns)
    return {**update_metrics(history), "critic/explained_variance": explained}


def train(
    env: str,
    model: str | Path,
    out: str | Path,
    config: Config = Config(),
    *,
    resume: bool = False,
    device: str = "cpu",
    env_workers: int = 0,
    step_timeout: float | None = None,
) -> Path:
    """Train a model folder or hub id on an environment's training split; returns the run folder.

    `device`, `env_workers`, `step_timeout`: see `trainer.session.open_session`.
    """
    session = open_session(
        "tppo",
        env,
        model,
        out,
        config,
        judges="turns",
        critic_learning_rate=config.critic_learning_rate,
        resume=resume,
        device=device,
        env_workers=env_workers,
        step_timeout=step_timeout,
    )
    critic, kept = critic_of(session.learner), session.learner.kept
    for iteration, generator in session.iterations():
        with session.phase("collect"), session.sampler(iteration) as policy:
            going, ancestors = taken_up(kept)
            seeds = generator.integers(2**31, size=config.episodes - len(going))
            episodes = play_on(session, policy, going, ancestors, seeds, config)
            kept |= put_away(episodes, [*ancestors, *going], config)
            over = [e for e, episode in enumerate(episodes) if not unfinished(episode, config)]
        with session.phase("credit"):
            experience = session.read(episodes, list(map(new_turns, episodes)))
            tokens = experience.tokens
            values_ET, bootstraps_E = judge_turns(
                critic, tokens, len(episodes), config.micro_tokens
            )
            given = credit(experience.episodes, values_ET, bootstraps_E, config)
            advantages = experience.spread(given.advantages_ET, config.objective.normalise)
        with session.phase("update"):
            measured: dict[str, float] = {}
            if iteration >= config.warmup:
                measured = update(session.learner, experience, advantages, config, generator)
            measured |= fit_values(session.learner, tokens, given, over, config, generator)
        measured["rollout/finished"] = len(over)
        # who is under way has not failed; where nobody has finished there is nobody else
        shown = [episodes[e] for e in over] or episodes
        advantages_ET, values_ET = given.advantages_ET, given.values_ET
        session.log(iteration, experience, advantages_ET, measured, values_ET, played=shown)
    return session.path
