"""Subgoal-conditioned learning held close to a goal-conditioned reference: VSC-RL for text (torch).

Paper: Wu et al., VSC-RL: Advancing Autonomous Vision-Language Agents with Variational Subgoal-
Conditioned Reinforcement Learning (2025). For each subgoal sg_i of a goal g the bound

    E_{tau_i ~ pi(.|sg_i)} [log p(O | tau_i, sg_i)] - KL(pi(tau_i | sg_i) || ref(tau_i | g)),

the SGC-ELBO, is maximised. (a) The first term by advantage-weighted regression: actions are
imitated with weight exp(A / temperature), A within the subgoal. (b) The second by a divergence from
the model that the run began with, which reads the same game and actions without any subgoal. The
subgoals come from a planner that is not trained.

Simplified: text instead of screens, and any policy as the planner (by default the starting model).
No judge says whether a subgoal was met: the outcome is the game's reward until the subgoal ends and
the lambda-return behind it, with `subgoal_reward` where the subgoal's words were said or seen. The
paper adds an imitation term on replayed data and filters what it replays; here every iteration
learns from its own episodes, and the divergence is estimated on their actions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from agents.chat import Chat
from agents.hierarchical import Hierarchy, Planned
from lmenvs.types import Episode, Message, Turn

from . import losses
from .batch import TokenBatch, make_batch
from .credit import lambda_targets
from .credit.options import option_ends, option_starts, within_options_gae
from .losses.implicit_q import advantage_weights
from .reference import Reference
from .settings import refuse_impossible
from .trainer.credited import TurnCredit
from .trainer.level_opening import open_levels
from .trainer.levels import Judged, with_subgoal_reward
from .trainer.objective import Objective, Part, refuse_dropped_groups
from .trainer.session import open_session
from .trainer.update import update


def _frozen_planner() -> Hierarchy:
    return Hierarchy(planner="frozen")


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    hierarchy: Hierarchy = field(default_factory=_frozen_planner)  # the planner is not trained
    seed: int = 0  # seeds tasks, sampling and minibatches; the run repeats to the same numbers
    iterations: int = 60  # each collects fresh episodes and updates on them
    turn_budget: int | None = None  # stop earlier, after so many environment turns
    episodes: int = 128  # per iteration; more is steadier and slower
    discount: float = 0.95  # per turn; below 1 prefers short solutions
    lam: float = 0.9  # trust in sampled rewards (1) against the critic (0), within a subgoal
    temperature: float = 0.2  # in units of reward; smaller: only the best actions are imitated
    divergence: float = 0.01  # pull towards the goal-conditioned reference; above 0 costs a pass
    subgoal_reward: float = 0.0  # earned where a subgoal's words are said or seen
    objective: Objective = Objective()  # reduction and masks; nothing is clipped here
    target_kl: float | None = 0.03  # the policy rests for the iteration once it moved so far (nats)
    epochs: int = 2  # passes over an iteration's episodes
    minibatches: int = 4  # optimizer steps per pass
    learning_rate: float = 5e-4  # of the policy; a pretrained 1 B model wants about 1e-6
    critic_learning_rate: float = 1e-3  # of the critic
    anneal: float = 0.1  # over the last third, learning rates fall to this share; 1 holds them
    max_norm: float = 1.0  # gradients longer than this are shortened
    lora_rank: int = 0  # above 0 trains low-rank adapters instead of all weights
    max_new_tokens: int = 16  # an answer of either level longer than this is cut
    max_turns: int | None = None  # truncate episodes here, besides the task's own limit
    width: int = 128  # conversations answered at once
    micro_tokens: int = 2048  # padded tokens per pass; fits a CPU cache, a GPU likes 16 times more
    gradient_checkpointing: bool = False  # less memory for a third more time
    save_every: int = 10  # iterations between checkpoints

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        refuse_impossible(self)
        refuse_dropped_groups(self.objective)
        if self.hierarchy.planner == "policy" or self.hierarchy.actor != "policy":
            raise ValueError(
                f"planner {self.hierarchy.planner!r}, actor {self.hierarchy.actor!r}; expected the "
                "actor to be 'policy' and the planner another: frozen, in-context or a spec"
            )
        if not self.temperature > 0:
            raise ValueError(f"temperature {self.temperature}; expected a number above 0")
        if self.divergence < 0 or self.objective.reference_kl:
            raise ValueError(
                f"divergence {self.divergence}, objective.reference_kl "
                f"{self.objective.reference_kl}; expected the first to be 0 or more, the second 0"
            )

    @property
    def engine(self) -> Literal[""]:
        """The episodes are sampled in this process."""
        return ""


def negative_bound(part: Part, objective: Objective, divergence: float) -> losses.LossOutput:
    """L = -mean(w log pi(action | sg)) + divergence * KL(pi(.|sg) || ref(.|g)): see the header.

    The weights w (`advantage_weights`) stand in the place of advantages, the reference's
    log-probabilities in `part.reference`; where there is none, the second term is left out.
    """
    reduction, turns = objective.reduction, part.tokens.turn_index
    fitted = losses.negative_log_likelihood(
        part.logprobs,
        part.mask,
        part.advantages,
        part.total,
        reduction=reduction,
        turn_index=turns,
    )
    # pi_old sampled: k3 of it against pi is 0 before the first step
    moved = losses.kl_penalty(part.old_logprobs, part.logprobs.detach(), part.mask, "k3")
    metrics = {**fitted.metrics, "approx_kl": moved.metrics["kl"]}
    if part.reference is None:
        return losses.LossOutput(fitted.loss, metrics)
    apart = losses.kl_penalty(
        part.logprobs,
        part.reference,
        part.mask,
        total=part.total,
        old_logprobs=part.old_logprobs,
        reduction=reduction,
        turn_index=turns,
    )
    return losses.LossOutput(fitted.loss + divergence * apart.loss, metrics)


def credit(planned: Sequence[Planned], judged: Judged, config: Config) -> TurnCredit:
    """Advantages within each subgoal; behind it counts the lambda-return where the next begins."""
    advantages_ET: list[np.ndarray] = []
    for one, values_T, bootstrap in zip(
        planned, judged.values_ET, judged.bootstraps_E, strict=True
    ):
        rates = config.discount, config.lam
        rewards_T = [turn.reward for turn in one.whole.turns]
        returns_T = lambda_targets(rewards_T, values_T, *rates, bootstrap)
        ends_J = option_ends(returns_T[option_starts(one.durations_J)], bootstrap)
        # what a subgoal earns beside the game is earned within it alone
        paid_T = with_subgoal_reward(one, config.subgoal_reward)
        advantages_ET.append(within_options_gae(paid_T, one.durations_J, values_T, *rates, ends_J))
    targets_ET = [a + v for a, v in zip(advantages_ET, judged.values_ET, strict=True)]
    return TurnCredit(advantages_ET, targets_ET, list(judged.values_ET))


def without_subgoals(episode: Episode, chat: Chat) -> Episode:
    """The game's episode with its actions as they were sampled, behind prompts that name no
    subgoal.
    """
    messages = [Message("system", episode.instructions)]
    turns: list[Turn] = []
    for turn in episode.turns:
        messages.append(Message("user", turn.observation))
        prompt = None
        if turns:
            stopped = turns[-1].action.token_ids[-1:] == (chat.stop_id,)
            prompt = chat.delta(messages, len(messages) - 2, stopped)
        ids = tuple(chat.start(messages) if prompt is None else prompt)
        action = replace(turn.action, prompt_ids=ids, fresh=prompt is None)
        turns.append(replace(turn, action=action))
        messages.append(Message("assistant", action.text, action))
    return replace(episode, turns=tuple(turns))


def goal_conditioned(
    reference: Reference, planned: Sequence[Planned], tokens: TokenBatch, chat: Chat, micro: int
) -> list[list[np.ndarray]]:
    """What the reference, told the goal only, says of the actor's tokens: log ref(token | g), one
    list per episode of one array per turn.
    """
    plain = make_batch([without_subgoals(one.whole, chat) for one in planned], chat)
    plain = plain.to(tokens.ids.device)
    return plain.by_token(reference.logprobs(plain, micro), len(planned))


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
    """Train the actor of a model folder or hub id on an environment's training split; returns the
    run folder. `device`, `env_workers`, `step_timeout`: see `trainer.session.open_session`.
    """
    session = open_session(
        "vsc_rl",
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
    learner = session.learner
    levels = open_levels(session, config.hierarchy, model, config.critic_learning_rate)
    reference = Reference(learner.model, model) if config.divergence else None
    policy_loss = partial(negative_bound, divergence=config.divergence)
    for iteration, generator in session.iterations():
        with session.phase("collect"), levels.sampler(iteration) as policy:
            seeds = generator.integers(2**31, size=config.episodes)
            planned = policy.split(session.collect(policy, seeds))
        with session.phase("credit"):
            (seen,) = levels.read(planned)
            given = credit(planned, seen.judged["actor"], config)
            experience = seen.experience
            if reference is not None:
                logprobs_ETL = goal_conditioned(
                    reference, planned, experience.tokens, learner.chat, config.micro_tokens
                )
                grid = experience.tokens.token_grid(logprobs_ETL)
                experience = replace(experience, reference=grid)
        with session.phase("update"):
            targets = seen.targets({"actor": given})
            if not config.subgoal_reward:  # else values may leave the range of the game's returns
                session.check(targets.grid, targets.mask)
            advantages = experience.spread(given.advantages_ET)
            weights = advantage_weights(advantages, experience.mask, config.temperature)
            measured = update(
                learner,
                experience,
                weights,
                config,
                generator,
                value_targets=targets,
                policy_loss=policy_loss,
            )
        levels.log(iteration, planned, [seen], {"actor": given}, measured)
    return session.path
