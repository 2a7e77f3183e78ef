"""Segment Policy Optimization: a stretch of turns is credited with what it changed (torch).

Paper: Guo et al., Segment Policy Optimization: Effective Segment-Level Credit Assignment in RL for
Large Language Models (2025). An episode is cut into segments; A_segment = V_next - V_here, where V
is the mean return of continuations that the policy plays from there; no critic. Two ways:

- "chain": at the start of every segment `continuations` are forked, for their returns only. Exact,
  because V_here has not seen the segment.
- "tree": `branching` says how many ways each level goes on; the value of a node is the mean of its
  children's, from the leaves up, and every edge is trained once. Exact up to a constant for each
  level: V_here has seen the segment as one child among several, and deeper levels have more edges.

`probability_mask` trains only the tokens that the policy found less likely than 0.9, the paper's
threshold (its policy loss; biased).

Deviations: segments are whole turns, because an environment can be entered between turns only. A
cut by probability (the paper's cutpoints) therefore falls on the first turn that begins after
`segment` unlikely tokens. An edge's advantage is V_child - V_parent for the whole edge. Episodes
that are cut short are worth what they had earned: there is no critic to judge the rest. The code
leaves out edges whose advantage is 0; here they count in the loss's mean unless
`objective.equal_groups` is "drop".
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from agents.protocols import Policy
from lmenvs.types import Episode

from .credit import (
    low_probability_segments,
    probability_mask,
    segment_advantages,
    segment_tree,
)
from .settings import refuse_impossible
from .trainer.experience import Experience
from .trainer.objective import Objective
from .trainer.session import Session, open_session
from .trainer.update import update


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds tasks, sampling and minibatches; the run repeats to the same numbers
    iterations: int = 60  # each collects fresh episodes and updates on them
    turn_budget: int | None = None  # stop earlier, after so many environment turns
    tasks: int = 16  # per iteration
    method: Literal["chain", "tree"] = "chain"  # where values come from: see above
    segment: int = 1  # turns in a segment; tokens below 0.9 where `cut` is "probability"
    cut: Literal["turns", "probability"] = "turns"  # what is counted to end a segment
    continuations: int = 4  # chain: plays from the start of each segment; more is steadier
    branching: tuple[int, ...] = (4, 2, 2)  # tree: ways on at each level; the last plays to the end
    probability_mask: bool = False  # train only the tokens less likely than 0.9
    objective: Objective = Objective()  # of the policy: clip, ratio, KL, entropy, masks
    target_kl: float | None = None  # the policy rests for the iteration once it moved so far (nats)
    epochs: int = 1  # passes over an iteration's episodes
    minibatches: int = 2  # optimizer steps per pass
    learning_rate: float = 3e-4  # of the policy; a pretrained 1 B model wants about 1e-6
    anneal: float = 1.0  # over the last third, learning rates fall to this share; 1 holds them
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
        if not self.branching or min(self.branching) < 1:
            raise ValueError(f"branching {self.branching}; expected numbers of at least 1")
        if self.method == "tree" and self.cut == "probability":
            raise ValueError('cut "probability"; a tree branches at equal turns: use cut "turns"')
        if self.method == "chain" and self.objective.kl_in == "reward":
            raise ValueError(
                'objective.kl_in "reward": the continuations of a chain are not read, so their '
                'returns would know of no penalty; use "loss", or method "tree"'
            )


def segment_starts(episode: Episode, config: Config) -> list[int]:
    """The turns at which the segments of an episode begin.

    Raises:
        ValueError: where the sampler did not say how likely its tokens were, but the cut needs it.
    """
    if config.cut == "turns":
        return list(range(0, len(episode.turns), config.segment))
    for number, turn in enumerate(episode.turns):
        if not turn.action.logprobs:
            raise ValueError(
                f"episode {episode.id}: expected log-probabilities of its tokens, got none at turn "
                f'{number}; take an engine that gives them, or cut "turns"'
            )
    segments_TL = low_probability_segments(
        [turn.action.logprobs for turn in episode.turns], config.segment
    )
    first_T = np.array([segments_L[0] for segments_L in segments_TL])
    return [0, *(np.flatnonzero(np.diff(first_T)) + 1).tolist()]


def judged(episodes: Sequence[Episode], forks: Sequence[Episode]) -> list[Episode]:
    """Those whose start has a value: where all forks from it broke, the segments have no credit."""
    known = {fork.parent for fork in forks}
    return [episode for episode in episodes if (episode.id, 0) in known]


def chain_credit(episodes: Sequence[Episode], forks: Sequence[Episode]) -> list[np.ndarray]:
    """One array per episode: each turn has its segment's V_next - V_here.

    A segment begins wherever forks left the episode; their mean return is the value there.
    """
    returns: dict[tuple[str, int], list[float]] = {}
    for fork in forks:
        assert fork.parent is not None
        returns.setdefault(fork.parent, []).append(fork.total_reward)
    starts_ES = [
        [turn for turn in range(len(episode.turns)) if (episode.id, turn) in returns]
        for episode in episodes
    ]
    values_ES = [
        [float(np.mean(returns[episode.id, start])) for start in starts_S]
        for episode, starts_S in zip(episodes, starts_ES, strict=True)
    ]
    advantages_ES = segment_advantages(values_ES, [episode.total_reward for episode in episodes])
    return [
        np.repeat(advantages_S, np.diff([*starts_S, len(episode.turns)]))
        for episode, starts_S, advantages_S in zip(episodes, starts_ES, advantages_ES, strict=True)
    ]


def grow_tree(session: Session, policy: Policy, seeds: np.ndarray, config: Config) -> list[Episode]:
    """Play each task by a group that branches: every episode that is still going at the end of a
    level's segment is one of the ways on from there, and the others fork from it.
    """
    first, *later = config.branching
    episodes = session.collect(policy, seeds, first)
    for level, ways in enumerate(later, start=1):
        if ways > 1:
            turns = partial(_going_at, level * config.segment)
            forks = session.branch(policy, episodes, turns, ways - 1, ancestors=episodes)
            # one whose first action filled the model's window took no turn of its own
            episodes += [fork for fork in forks if own_turns(fork).any()]
    return episodes


def _going_at(turn: int, episode: Episode) -> list[int]:
    return [turn] if turn < len(episode.turns) else []


def own_turns(episode: Episode) -> np.ndarray:
    """Which turns the episode took itself, instead of sharing them with its parent."""
    first = 0 if episode.parent is None else episode.parent[1]
    return np.arange(len(episode.turns)) >= first


def tree_credit(episodes: Sequence[Episode], config: Config) -> list[np.ndarray]:
    """One array per episode: each turn of its own has its edge's V_child - V_parent, others 0.

    Parents come before their forks, as `grow_tree` has them.
    """
    last = len(config.branching) - 1
    levels_ET = [np.minimum(np.arange(len(e.turns)) // config.segment, last) for e in episodes]
    tasks = dict.fromkeys(episode.group for episode in episodes if episode.parent is None)
    roots = {task: node for node, task in enumerate(tasks)}
    parents_N, returns_N = [-1] * len(roots), [float("nan")] * len(roots)
    nodes: dict[tuple[str, int], int] = {}  # where the edge ends that an episode took at a level
    for episode, levels_T in zip(episodes, levels_ET, strict=True):
        own = np.unique(levels_T[own_turns(episode)]).tolist()
        above = roots[episode.group] if own[0] == 0 else nodes[_parent_of(episode), own[0] - 1]
        for level in own:
            parents_N.append(above)
            returns_N.append(float("nan"))
            above = nodes[episode.id, level] = len(parents_N) - 1
        returns_N[above] = episode.total_reward
    advantages_N = segment_tree(returns_N, parents_N)
    return [
        np.where(
            own_turns(episode),
            advantages_N[[nodes.get((episode.id, level), 0) for level in levels_T.tolist()]],
            0.0,
        )
        for episode, levels_T in zip(episodes, levels_ET, strict=True)
    ]


def _parent_of(episode: Episode) -> str:
    assert episode.parent is not None
    return episode.parent[0]


def credit(
    episodes: Sequence[Episode], forks: Sequence[Episode], config: Config
) -> list[np.ndarray]:
    """One array per episode: the advantage of the segment that each of its turns belongs to."""
    if config.method == "tree":
        return tree_credit(episodes, config)
    return chain_credit(episodes, forks)


def trained_tokens(experience: Experience, advantages: Tensor, config: Config) -> Experience:
    """The same, with fewer tokens to train where the options say so; these count in no mean."""
    mask = experience.mask
    if config.objective.equal_groups == "drop":
        mask = mask & (advantages != 0)
    if config.probability_mask:
        logprobs_ETL = experience.tokens.by_token(experience.old_logprobs, len(experience.episodes))
        unlikely_ETL = [
            [unlikely_L.astype(float) for unlikely_L in probability_mask(turns_TL)]
            for turns_TL in logprobs_ETL
        ]
        mask = mask & (experience.tokens.token_grid(unlikely_ETL) > 0)
    return replace(experience, mask=mask)


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
        "segment_po",
        env,
        model,
        out,
        config,
        resume=resume,
        device=device,
        env_workers=env_workers,
        step_timeout=step_timeout,
    )
    for iteration, generator in session.iterations():
        with session.phase("collect"), session.sampler(iteration) as policy:
            seeds = generator.integers(2**31, size=config.tasks)
            if config.method == "tree":
                episodes, forks = grow_tree(session, policy, seeds, config), []
            else:
                episodes = session.collect(policy, seeds)
                starts = partial(segment_starts, config=config)
                forks = session.branch(policy, episodes, starts, config.continuations)
                episodes = judged(episodes, forks)
        with session.phase("credit"):
            experience = session.read(episodes, [own_turns(episode) for episode in episodes])
            advantages_ET = credit(experience.episodes, forks, config)
            advantages = experience.spread(advantages_ET, config.objective.normalise)
            experience = trained_tokens(experience, experience.spread(advantages_ET), config)
        with session.phase("update"):
            measured = update(session.learner, experience, advantages, config, generator)
        session.log(iteration, experience, advantages_ET, measured)
    return session.path
