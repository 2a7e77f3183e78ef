"""PPO on two levels: a planner that names subgoals, an actor that follows them (torch).

A planner decision and the turns until the next one are an option (Sutton, Precup and Singh, 1999),
and each level has credit of its own. The planner is judged in the semi-Markov process of its
decisions: generalised advantages in which a decision of n turns discounts by discount ** n. The
actor is judged within its subgoal, turn by turn, and bootstraps from the planner's lambda-return
where the subgoal ends. Both are moved by the clipped objective, as in turn_ppo.py.

One model may play both levels under two prompts ("shared"; its steps mix both levels' tokens, each
token alike), each level may be a model of its own ("two"), or an adapter on the same weights
("adapters", with lora_rank). A level may also be frozen, or any other policy; with planner
"in-context" it is that of LLM Economist (2025): no gradient, but it reads what its past plans
earned (agents/in_context.py).

Left out: learned termination by its own gradient (the actor ends a subgoal by saying so, or its
turns are up), and off-policy corrections for subgoals that were not met.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from agents.hierarchical import Hierarchy, Planned

from .credit import gae
from .credit.options import option_ends, option_gae, within_options_gae
from .settings import refuse_impossible
from .trainer.credited import TurnCredit
from .trainer.level_opening import open_levels
from .trainer.levels import Judged, Level, with_subgoal_reward
from .trainer.objective import Objective, refuse_dropped_groups
from .trainer.session import open_session


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    hierarchy: Hierarchy = field(default_factory=Hierarchy)  # who plays which level
    seed: int = 0  # seeds tasks, sampling and minibatches; the run repeats to the same numbers
    iterations: int = 60  # each collects fresh episodes and updates on them
    turn_budget: int | None = None  # stop earlier, after so many environment turns
    episodes: int = 128  # per iteration; more is steadier and slower
    discount: float = 0.95  # per turn of the game, on both levels; below 1 prefers short solutions
    lam: float = 0.9  # trust in sampled rewards (1) against the critics (0), on both levels
    actor_credit: Literal["option", "episode"] = "option"  # behind a subgoal: the planner's, or own
    subgoal_reward: float = 0.0  # the actor's alone, where it meets a subgoal; above 0: it obeys
    objective: Objective = Objective(normalise="standardise")  # of both: clip, KL, masks
    target_kl: float | None = 0.03  # a policy rests for the iteration once it moved so far (nats)
    epochs: int = 2  # passes over an iteration's episodes
    minibatches: int = 4  # optimizer steps per pass
    learning_rate: float = 5e-4  # of the policies; a pretrained 1 B model wants about 1e-6
    critic_learning_rate: float = 1e-3  # of the critics
    anneal: float = 0.1  # over the last third, learning rates fall to this share; 1 holds them
    max_norm: float = 1.0  # gradients longer than this are shortened
    lora_rank: int = 0  # above 0 trains low-rank adapters instead of all weights
    max_new_tokens: int = 16  # an answer of either level longer than this is cut
    max_turns: int | None = None  # truncate episodes here, besides the task's own limit
    width: int = 128  # conversations answered at once
    micro_tokens: int = 2048  # padded tokens per pass; fits a CPU cache, a GPU likes 16 times more
    gradient_checkpointing: bool = False  # less memory for a third more time
    save_every: int = 10  # iterations between checkpoints
    engine: str = ""  # what samples, "" in this process; only where one model plays

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        refuse_impossible(self)
        refuse_dropped_groups(self.objective)
        if self.objective.reference_kl and self.objective.kl_in == "reward":
            raise ValueError(
                'objective.kl_in "reward": two levels earn the same rewards; expected "loss"'
            )


def credit(
    planned: Sequence[Planned], judged: Mapping[Level, Judged], config: Config
) -> dict[Level, TurnCredit]:
    """The credit of each level that has a critic; bootstraps are 0 where an episode terminated."""
    given: dict[Level, TurnCredit] = {}
    if "planner" in judged:
        given["planner"] = planner_credit(planned, judged["planner"], config)
    if "actor" in judged:
        ends_EJ = None
        if "planner" in judged and config.actor_credit == "option":
            returns_EJ = given["planner"].value_targets_ET
            ends_EJ = list(map(option_ends, returns_EJ, judged["planner"].bootstraps_E))
        given["actor"] = actor_credit(planned, judged["actor"], ends_EJ, config)
    return given


def planner_credit(planned: Sequence[Planned], judged: Judged, config: Config) -> TurnCredit:
    """Generalised advantages over decisions: see `credit.options.option_gae`."""
    advantages_EJ: list[np.ndarray] = []
    for one, values_J, bootstrap in zip(
        planned, judged.values_ET, judged.bootstraps_E, strict=True
    ):
        rewards_T = [turn.reward for turn in one.whole.turns]
        advantages_EJ.append(
            option_gae(rewards_T, one.durations_J, values_J, config.discount, config.lam, bootstrap)
        )
    return _with_targets(advantages_EJ, judged)


def actor_credit(
    planned: Sequence[Planned],
    judged: Judged,
    ends_EJ: Sequence[np.ndarray] | None,
    config: Config,
) -> TurnCredit:
    """Generalised advantages over turns, up to the end of each subgoal or of the episode.

    `ends_EJ` is what the planner makes of where each subgoal ended: its lambda-return there, which
    holds what was earned later as far as `lam` trusts it. None: the actor's own critic goes on, as
    where the planner has none.
    """
    advantages_ET: list[np.ndarray] = []
    for index, one in enumerate(planned):
        rewards_T = with_subgoal_reward(one, config.subgoal_reward)
        values_T, bootstrap = judged.values_ET[index], judged.bootstraps_E[index]
        if ends_EJ is None:
            advantages_T = gae(rewards_T, values_T, config.discount, config.lam, bootstrap)
        else:
            advantages_T = within_options_gae(
                rewards_T, one.durations_J, values_T, config.discount, config.lam, ends_EJ[index]
            )
        advantages_ET.append(advantages_T)
    return _with_targets(advantages_ET, judged)


def _with_targets(advantages_ET: list[np.ndarray], judged: Judged) -> TurnCredit:
    targets_ET = [a + v for a, v in zip(advantages_ET, judged.values_ET, strict=True)]
    return TurnCredit(advantages_ET, targets_ET, list(judged.values_ET))


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

    `hf:` with the run folder plays both levels. The model should know both prompts: clone it on
    episodes of both levels first. `device`, `env_workers`, `step_timeout`: see
    `trainer.session.open_session`.
    """
    session = open_session(
        "hierarchical",
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
    levels = open_levels(session, config.hierarchy, model, config.critic_learning_rate)
    # with a reward of its own the actor's values may leave the range of the game's returns
    plausible = ("planner",) if config.subgoal_reward else ("planner", "actor")
    for iteration, generator in session.iterations():
        with session.phase("collect"), levels.sampler(iteration) as policy:
            seeds = generator.integers(2**31, size=config.episodes)
            planned = policy.split(session.collect(policy, seeds))
        with session.phase("credit"):
            seen = levels.read(planned)
            judged: dict[Level, Judged] = {}
            for one in seen:
                judged |= one.judged
            given = credit(planned, judged, config)
        with session.phase("update"):
            measured = levels.update(seen, given, generator, plausible=plausible)
        levels.log(iteration, planned, seen, given, measured)
    return session.path
