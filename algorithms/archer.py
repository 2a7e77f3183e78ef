"""ArCHer: an off-policy critic over utterances, an on-policy actor over tokens (torch).

Paper: Zhou et al., ArCHer: Training Language Model Agents via Hierarchical Multi-Turn RL (2024),
section 3 and appendix. The critic has two Q and two V heads with Polyak targets: Q_k(o, a) is
fitted to r + discount * (1 - terminated) * Vbar_k(o'), V_k(o) to Qbar_k(o, a~) with a~ newly
sampled from the policy. The actor raises log pi(a~ | o) in proportion to A = min Q(o, a~) - min
V(o), for observations from the replay buffer and a~ newly sampled. Optionally a token baseline eta,
fitted to A, is subtracted per token.

Variants: `v_target="expectile"` fits V to Qbar of the data's actions (IQL); `actor="reinforce"` is
the paper's, `"clip"` PPO's; `actor="none"` with `v_target="best"` is CHAI (Verma et al., 2022), the
foil without an actor: the best of `siblings` actions by min Q is played, once the critic is warm,
and V is fitted to it.

Deviations:
- All steps of an iteration learn from episodes that were replayed, and actions that were sampled,
  before the first: the policy rests while the critic moves. The paper samples anew for each step.
- The heads answer in the unit of the first episodes' returns (`utterances.critic.set_unit`).
- Warm-up regresses Q and V on Monte Carlo returns (`warmup_target`); "td" is the paper.
- Advantages are centred, and scaled by the largest spread of late (`objective.normalise`); "none"
  is the paper.
- The clipped actor rests for an iteration once it has moved by `RESTING_KL` (utterances/actor.py).
- Truncation bootstraps; the published code treats every time limit as terminal.
- Gradients of actor and critic are clipped apart and averaged over micro-batches; the published
  code sums.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np

from agents.best_of_n import BestOfN
from agents.protocols import Policy
from agents.sampling import Sampling
from agents.utterance_critics import UtteranceCritic, save_judge
from lmenvs.types import Episode

from .batch import make_batch
from .forward import by_length
from .metrics import update_metrics
from .replay import ReplayBuffer
from .settings import refuse_impossible
from .trainer.learner import Learner
from .trainer.objective import Objective, refuse_dropped_groups
from .trainer.session import Session, open_session
from .utterances.actor import RESTING_KL, update_actor
from .utterances.critic import (
    CriticOptions,
    credit,
    critic_of,
    judge,
    set_unit,
    trustworthiness,
    update_critic,
)
from .utterances.siblings import draws, joined, sample_siblings
from .utterances.situations import Situations, look_at

REPLAY_TURNS = 100_000  # older episodes are dropped beyond this many turns
HEEDED = ("clip_low", "clip_high", "dual_clip", "normalise", "entropy_bonus")
REPLAY = "replay.jsonl"  # the buffer's file in a checkpoint
STEADY = CriticOptions(polyak=0.05, critic_learning_rate=1e-3)
"""A critic on which a policy steps right away: slower than one that learns from a file. In the maze
(seed 100) play earned -6.5 after 23,000 turns with 48 steps of it an iteration, and about -10 after
33,000 with 24 steps at twice the rates."""


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set; the demo's own choices stand in demo.py."""

    seed: int = 0  # seeds tasks, sampling and minibatches; the run repeats to the same numbers
    iterations: int = 60  # each collects, fits the critic, then moves the actor
    turn_budget: int | None = None  # stop earlier, after so many environment turns
    episodes: int = 32  # collected per iteration
    batch_size: int = 64  # replayed episodes that an iteration learns from
    siblings: int = 4  # fresh actions per turn; more means a steadier target and gradient
    discount: float = 0.95  # per turn; below 1 prefers short solutions
    critic: CriticOptions = STEADY  # its reader and its targets
    critic_steps: int = 48  # optimizer steps on the critic per iteration
    warmup_iterations: int = 4  # meanwhile the policy plays and stays as it is
    actor: Literal["clip", "reinforce", "none"] = "clip"  # none plays the best of `siblings`
    actor_steps: int = 8  # optimizer steps on the actor per iteration
    token_baseline: bool = False  # subtract a fitted per-token prediction of the advantage
    objective: Objective = Objective(normalise="standardise")  # of the actor: clip, entropy
    learning_rate: float = 5e-4  # of the actor; a pretrained 1 B model wants about 1e-6
    anneal: float = 0.1  # over the last third, learning rates fall to this share; 1 holds them
    max_norm: float = 1.0  # gradients of actor and critic longer than this are shortened
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
        if self.actor not in ("clip", "reinforce", "none"):
            raise ValueError(f"actor {self.actor!r}; expected clip, reinforce or none")
        for option in fields(Objective):
            value = asdict(self.objective)[option.name]
            if option.name not in HEEDED and value != option.default:
                raise ValueError(
                    f"objective.{option.name} {value!r}: ArCHer's actor heeds {', '.join(HEEDED)} "
                    f"of the objective; expected {option.default!r} here"
                )

    @property
    def epochs(self) -> int:
        """An action is sampled, learned from and forgotten."""
        return 1

    @property
    def minibatches(self) -> int:
        """As other algorithms call the actor's steps."""
        return self.actor_steps

    @property
    def target_kl(self) -> float | None:
        """How far the clipped actor moves in an iteration before it rests, in nats."""
        return RESTING_KL if self.actor == "clip" else None


def imagine(
    learner: Learner, episodes: Sequence[Episode], config: Config, generator: np.random.Generator
) -> Situations:
    """The turns of episodes, with what the policy of now would say at each of them."""
    tokens = make_batch(episodes, learner.chat).to(learner.model.device)
    sampling = Sampling(max_new_tokens=config.max_new_tokens)
    chance = draws(tokens, config.siblings, sampling, generator)
    parts = [
        (
            rows,
            sample_siblings(
                learner.model,
                tokens.rows(rows),
                config.siblings,
                learner.chat.stop_id,
                sampling,
                chance[rows],
            ),
        )
        for rows in by_length(tokens.lengths * 2, config.micro_tokens)
    ]
    critic, _ = critic_of(learner)
    return look_at(tokens, joined(parts, len(tokens)), episodes, learner.chat, critic)


def fit(
    session: Session,
    seen: Situations,
    episodes: Sequence[Episode],
    config: Config,
    generator: np.random.Generator,
    *,
    monte_carlo: bool,
) -> dict[str, float]:
    """The critic's steps of an iteration, each on some of the replayed episodes."""
    history: list[dict[str, float]] = []
    whose = seen.tokens.episode.cpu().numpy()
    for _ in range(config.critic_steps):
        size = min(config.critic.critic_batch, len(episodes))
        chosen = generator.choice(len(episodes), size, replace=False)
        mini = seen.rows(np.flatnonzero(np.isin(whose, chosen)))
        targets = credit(
            session.learner,
            mini,
            episodes,
            config.critic,
            config.discount,
            monte_carlo=monte_carlo,
            micro_tokens=config.micro_tokens,
        )
        session.check(targets.q, mini.tokens.turn_mask[..., None])
        history.append(
            update_critic(
                session.learner,
                mini,
                targets,
                config.critic,
                config.max_norm,
                micro_tokens=config.micro_tokens,
                checkpointing=config.gradient_checkpointing,
            )
        )
    return update_metrics(history)


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
        "archer",
        env,
        model,
        out,
        config,
        judges="turns",
        critic_learning_rate=config.critic.critic_learning_rate,
        critic=lambda policy: UtteranceCritic(policy, config.critic.reading),
        target=True,
        resume=resume,
        device=device,
        env_workers=env_workers,
        step_timeout=step_timeout,
    )
    learner = session.learner
    replay = _open_replay(session)
    if config.actor == "none":
        critic, _ = critic_of(learner)
        learner.beside.append(lambda folder: save_judge(critic, folder, config.siblings))
    for iteration, generator in session.iterations():
        warm = iteration < config.warmup_iterations
        with session.phase("collect"), session.sampler(iteration) as policy:
            choosing = config.actor == "none" and not warm
            acting = best_of(policy, learner, config) if choosing else policy
            episodes = session.collect(acting, generator.integers(2**31, size=config.episodes))
        if iteration == 0:
            set_unit(learner, episodes, config.discount)
        with session.phase("credit"):
            experience = session.read(episodes)
            judged = judge(learner, episodes, experience.tokens, config.micro_tokens)
        replay.add(episodes)
        replayed = replay.sample(config.batch_size, generator)
        with session.phase("imagine"):
            seen = imagine(learner, replayed, config, generator)
        with session.phase("critic"):
            monte_carlo = warm and config.critic.warmup_target == "monte_carlo"
            measured = fit(session, seen, replayed, config, generator, monte_carlo=monte_carlo)
        if not warm and config.actor != "none":
            with session.phase("actor"):
                measured |= update_actor(learner, seen, config, generator)
        measured |= trustworthiness(episodes, judged, config.discount)
        session.log(iteration, experience, judged.advantages_ET, measured, judged.values_ET)
    return session.path


def best_of(policy: Policy, learner: Learner, config: Config) -> Policy:
    """What plays where there is no actor: the best of the policy's answers."""
    critic, _ = critic_of(learner)
    return BestOfN(policy, critic, learner.model, learner.chat, config.siblings)


def _open_replay(session: Session) -> ReplayBuffer:
    """The buffer of the run, saved with its checkpoints."""
    file = session.path / "checkpoints" / REPLAY
    replay = ReplayBuffer.load(file, REPLAY_TURNS) if file.exists() else ReplayBuffer(REPLAY_TURNS)
    session.learner.beside.append(lambda folder: replay.save(folder / REPLAY))
    return replay
