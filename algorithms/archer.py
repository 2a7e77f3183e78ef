# over 300 lines: critic, actor and their loop are one algorithm and are read together
"""ArCHer: an off-policy critic over utterances, an on-policy actor over tokens (torch).

Paper: Zhou et al., ArCHer: Training Language Model Agents via Hierarchical Multi-Turn RL (2024),
section 3 and appendix. The critic has two Q and two V heads with Polyak targets: Q_k(o, a) is
fitted to r + discount * (1 - terminated) * Vbar_k(o'), V_k(o) to Qbar_k(o, a~) with a~ newly
sampled from the policy. The actor raises log pi(a~ | o) in proportion to A = min Q(o, a~) - min
V(o), for observations from the replay buffer and a~ newly sampled. Optionally a token baseline eta,
fitted to A, is subtracted per token.

Deviations, each for a reason that was measured on small models (Q - V is noise at first, and an
unclipped actor follows noise to zero):
- One decoder pass encodes all turns of an episode, actions in place; the paper encodes observation
  and action apart. V is read before the turn's first token, Q at its last.
- `lam` > 0 replaces the one-step Q target by the lambda-return of the replayed episode; 0 is the
  paper.
- Warm-up regresses Q and V on Monte Carlo returns of the frozen policy (`warmup_target`); "td" is
  the paper.
- `residual_q` makes Q_k of V_k and a head that starts at zero, so that the advantage is what that
  head learned and not the difference of two estimates with errors of their own. It starts without
  noise but learns later; False is the paper.
- The actor's steps are clipped as in PPO, and its advantages centred and scaled; `clip=None` with
  `standardise=False` is the paper's REINFORCE.
- With `trust` the actor moves only in iterations in which the critic's advantages explain something
  of what happened in fresh episodes; None moves it always, as the paper does.
- Truncation bootstraps; the published code treats every time limit as terminal.
- Gradients of actor and critic are clipped apart and averaged over micro-batches; the published
  code sums.
"""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from agents.chat import Chat
from agents.critics import TurnCritic, move_towards
from agents.lm import LMPolicy
from agents.models import load_model, with_lora
from agents.rollout import collect
from agents.sampling import Sampling
from lmenvs.types import Episode

from . import losses, support
from .batch import TokenBatch, by_length, make_batch
from .credit import discounted_returns, explained_variance, lambda_targets
from .metrics import rollout_metrics, training_split, update_metrics
from .replay import ReplayBuffer
from .siblings import Grown, Siblings, grow, sample_siblings, sibling_logprobs


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set; the demo's own choices stand in demo.py."""

    seed: int = 0  # seeds tasks, sampling and minibatches; the run repeats to the same numbers
    iterations: int = 40  # each collects, fits the critic, then moves the actor
    episodes: int = 64  # collected per iteration
    replay_turns: int = 100_000  # older episodes are dropped beyond this many turns
    discount: float = 0.95  # per turn; below 1 prefers short solutions
    lam: float = 0.9  # of the Q target's lambda-return: 0 is one-step, as the paper; 1 Monte Carlo
    polyak: float = 0.1  # how far the target critic follows after every critic step
    critic_steps: int = 24  # per iteration
    critic_batch: int = 32  # episodes per critic step
    critic_learning_rate: float = 1e-3  # of the critic
    warmup_iterations: int = 4  # the actor stays frozen for these
    warmup_critic_steps: int = 48  # critic steps per warm-up iteration
    warmup_target: Literal["monte_carlo", "td"] = "monte_carlo"  # what is fitted meanwhile
    actor_steps: int = 8  # optimizer steps on the actor per iteration
    actor_batch: int = 32  # episodes per actor step
    siblings: int = 2  # fresh actions per turn; more means a steadier target and gradient
    learning_rate: float = 3e-4  # of the actor
    clip: float | None = 0.2  # ratio is held within 1 ± clip; None is the paper's REINFORCE
    standardise: bool = True  # centre and scale advantages; False leaves them as the paper does
    residual_q: bool = False  # Q = V + a head that starts at zero; False fits Q apart, as the paper
    trust: float | None = None  # the actor waits until Q - V explains this share of what V leaves
    token_baseline: bool = False  # subtract a fitted per-token prediction of the advantage
    max_norm: float = 1.0  # gradients of actor and critic longer than this are shortened
    lora_rank: int = 0  # above 0 trains low-rank adapters instead of all weights
    max_new_tokens: int = 16  # an action longer than this is cut
    max_turns: int | None = None  # truncate episodes here, besides the task's own limit
    micro_tokens: int = 4096  # padded tokens per forward pass; lower it if memory runs out
    save_every: int = 10  # iterations between checkpoints

    def __post_init__(self) -> None:
        if not 0 <= self.discount <= 1 or not 0 <= self.lam <= 1 or not 0 < self.polyak <= 1:
            raise ValueError("discount and lam must be in [0, 1] and polyak in (0, 1]")
        steps = (self.iterations, self.critic_steps, self.warmup_critic_steps, self.actor_steps)
        if min(*steps, self.save_every) < 1:
            raise ValueError(
                "iterations, critic_steps, warmup_critic_steps, actor_steps and save_every must be "
                "at least 1"
            )
        if min(self.episodes, self.critic_batch, self.actor_batch, self.siblings) < 1:
            raise ValueError("episodes, critic_batch, actor_batch and siblings must be at least 1")
        if self.clip is not None and self.clip <= 0:
            raise ValueError(
                f"clip {self.clip}; expected a positive number, or None for no clipping"
            )


class Learner:
    """The policy, the double critic, its target, their optimizers, and the replay buffer."""

    def __init__(self, model: PreTrainedModel, chat: Chat, config: Config):
        self.chat = chat
        self.critic = TurnCritic(model, values=2, action_values=2, token_values=1)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        self.model = with_lora(model, config.lora_rank) if config.lora_rank else model
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=0.0)
        self.critic_optimizer = torch.optim.AdamW(
            self.critic.parameters(), lr=config.critic_learning_rate, weight_decay=0.0
        )
        self.replay = ReplayBuffer(config.replay_turns)
        self.sampling = Sampling(max_new_tokens=config.max_new_tokens)
        self.actor_updates = 0

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps besides the model's own folder and the replay file."""
        return {
            "critic": self.critic.state_dict(),
            "target": self.target.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "critic_optimizer": self.critic_optimizer.state_dict(),
            "actor_updates": self.actor_updates,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take on what `state` returned."""
        for name in ("critic", "target", "optimizer", "critic_optimizer"):
            getattr(self, name).load_state_dict(state[name])
        self.actor_updates = state["actor_updates"]


@dataclass(frozen=True, slots=True)
class CriticTargets:
    """What the four heads are fitted to: [B, T, 2] each, one column per head."""

    q: Tensor
    v: Tensor


@torch.no_grad()
def credit(
    learner: Learner,
    batch: TokenBatch,
    episodes: Sequence[Episode],
    config: Config,
    warm: bool,
    generator: np.random.Generator,
) -> CriticTargets:
    """The critic's targets for every turn of replayed episodes."""
    if warm and config.warmup_target == "monte_carlo":
        values, behind = torch.zeros(*batch.turn_mask.shape, 2), torch.zeros(len(batch), 2)
        cut = (batch.bootstrap >= 0).nonzero()[:, 0]
        if len(cut):  # nothing else of the target's is needed
            part = batch.rows(cut)
            behind[cut] = _behind(learner.target, learner.target.encode(part.ids), part)
        monte_carlo = _targets(batch, episodes, values, behind, config.discount, lam=1.0)
        return CriticTargets(monte_carlo, monte_carlo)
    siblings = sample_siblings(
        learner.model, batch, config.siblings, learner.chat.stop_id, learner.sampling, generator
    )
    grown = grow(batch, siblings)
    hidden = encode(learner.target, grown)
    values = learner.target.values(hidden, batch.before_turn)
    behind = _behind(learner.target, hidden, batch)
    q_targets = _targets(batch, episodes, values, behind, config.discount, config.lam)
    rows, turns = batch.turn_mask.shape
    before = batch.before_turn.repeat_interleave(config.siblings, 1)
    q_of_siblings = q_heads(learner.target, hidden, grown.last, before, config)
    v_targets = q_of_siblings.view(rows, turns, config.siblings, 2).mean(2)
    return CriticTargets(q_targets, v_targets)


def _behind(critic: TurnCritic, hidden: Tensor, batch: TokenBatch) -> Tensor:
    """V_k behind the end of each row, where its episode was cut: [B, 2]."""
    return critic.values(hidden, batch.bootstrap[:, None])[:, 0]


def _targets(
    batch: TokenBatch,
    episodes: Sequence[Episode],
    values: Tensor,
    behind: Tensor,
    discount: float,
    lam: float,
) -> Tensor:
    """The lambda-return of every turn under each head: [B, T, 2] from values [B, T, 2]."""
    heads: list[Tensor] = []
    for head in range(2):
        values_ET = batch.by_episode(values[..., head], len(episodes))
        bootstraps = {
            int(e): float(b)
            for e, b, p in zip(batch.episode, behind[:, head], batch.bootstrap, strict=True)
            if p >= 0
        }
        targets_ET = [
            lambda_targets([t.reward for t in e.turns], v, discount, lam, bootstraps.get(i, 0.0))
            for i, (e, v) in enumerate(zip(episodes, values_ET, strict=True))
        ]
        heads.append(batch.turn_grid(targets_ET))
    return torch.stack(heads, -1)


def encode(critic: TurnCritic, grown: Grown) -> Tensor:
    """The critic's hidden states of episodes with their sibling branches."""
    return critic.encode(grown.ids, attention_mask=grown.visible, position_ids=grown.positions)


def update_critic(
    learner: Learner, config: Config, warm: bool, generator: np.random.Generator
) -> dict[str, float]:
    """One critic step on replayed episodes, then one Polyak step of the target."""
    episodes = learner.replay.sample(config.critic_batch, generator)
    batch = make_batch(episodes, learner.chat)
    total = float(batch.turn_mask.sum())
    history: list[dict[str, float]] = []
    targets = credit(learner, batch, episodes, config, warm, generator)
    for rows in by_length(batch.lengths, config.micro_tokens):
        part = batch.rows(rows)
        width = part.turn_mask.shape[1]
        hidden = learner.critic.encode(part.ids)
        q = q_heads(learner.critic, hidden, part.after_turn, part.before_turn, config)
        v = learner.critic.values(hidden, part.before_turn)
        fitted = losses.archer_critic(
            q[..., 0],
            q[..., 1],
            v[..., 0],
            v[..., 1],
            targets_for_q1=targets.q[rows, :width, 0],
            targets_for_q2=targets.q[rows, :width, 1],
            targets_for_v1=targets.v[rows, :width, 0],
            targets_for_v2=targets.v[rows, :width, 1],
            mask=part.turn_mask,
            total=total,
        )
        fitted.loss.backward()
        history.append(fitted.metrics)
    norm = support.optimizer_step(
        learner.critic_optimizer, learner.critic.parameters(), config.max_norm
    )
    move_towards(learner.target, learner.critic, config.polyak)
    return {**update_metrics(history), "loss/critic_grad_norm": norm}


def q_heads(
    critic: TurnCritic, hidden: Tensor, after: Tensor, before: Tensor, config: Config
) -> Tensor:
    """Q_k(o, a) [B, N, 2]: read at the action's last token; what it adds to V_k if `residual_q`."""
    read = critic.action_values(hidden, after)
    return read + critic.values(hidden, before) if config.residual_q else read


@torch.no_grad()
def advantages(critic: TurnCritic, batch: TokenBatch, grown: Grown, config: Config) -> Tensor:
    """A(o, a~) = min_k Q_k(o, a~) - min_k V_k(o) for every branch: [B, N]."""
    hidden = encode(critic, grown)
    before = batch.before_turn.repeat_interleave(config.siblings, 1)
    q = q_heads(critic, hidden, grown.last, before, config).min(-1).values
    return q - critic.values(hidden, before).min(-1).values


@dataclass(frozen=True, slots=True)
class _Part:
    """A micro-batch with its sibling actions, as they were judged before the actor moved."""

    siblings: Siblings
    grown: Grown
    advantages: Tensor  # [B, N]
    old_logprobs: Tensor  # [B, N, K]


def update_actor(
    learner: Learner, config: Config, generator: np.random.Generator
) -> dict[str, float]:
    """Some steps of token-level policy gradient on actions sampled now at replayed observations."""
    episodes = learner.replay.sample(config.actor_batch * config.actor_steps, generator)
    batch = make_batch(episodes, learner.chat)
    minibatches: list[list[_Part]] = []
    for rows in np.array_split(generator.permutation(len(batch)), config.actor_steps):
        mini = batch.rows(rows)
        # branches make a row longer: each turn's siblings add to its tokens
        parts = by_length(mini.lengths * 2, config.micro_tokens)
        minibatches.append(
            [_imagine(learner, mini.rows(part), config, generator) for part in parts]
        )
    everything = [part for parts in minibatches for part in parts]
    flat = torch.cat([part.advantages[part.siblings.branch_mask] for part in everything])
    centre, scale = (flat.mean(), flat.std() + 1e-8) if config.standardise else (0.0, 1.0)
    standard = [
        [replace(part, advantages=(part.advantages - centre) / scale) for part in parts]
        for parts in minibatches
    ]
    # a count fixed for all steps: dividing each by its own tokens would be biased
    total = float(sum(part.siblings.mask.sum() for part in everything)) / len(standard)
    history = [_actor_step(learner, config, parts, total) for parts in standard]
    spread = {
        "credit/advantage_mean": float(flat.mean()),
        "credit/advantage_std": float(flat.std()),
    }
    return {**update_metrics(history), **spread}


@torch.no_grad()
def _imagine(
    learner: Learner, part: TokenBatch, config: Config, generator: np.random.Generator
) -> _Part:
    """Sample what the policy would say now at every turn, and judge it."""
    siblings = sample_siblings(
        learner.model, part, config.siblings, learner.chat.stop_id, learner.sampling, generator
    )
    grown = grow(part, siblings)
    judged = advantages(learner.critic, part, grown, config)
    old_logprobs, _ = sibling_logprobs(learner.model, grown, siblings)
    return _Part(siblings, grown, judged, old_logprobs)


def _actor_step(
    learner: Learner, config: Config, parts: Sequence[_Part], total: float
) -> dict[str, float]:
    """One optimizer step on the policy (and on the token baseline, if there is one)."""
    history: list[dict[str, float]] = []
    for part in parts:
        logprobs, entropy = sibling_logprobs(learner.model, part.grown, part.siblings)
        shape = (len(logprobs), -1)
        mask = part.siblings.mask.reshape(shape)
        spread = part.advantages[..., None].expand(part.siblings.mask.shape).reshape(shape)
        metrics: dict[str, float] = {}
        if config.token_baseline:
            eta = _token_baseline(learner, part, shape)
            fitted = losses.value_mse(eta, spread, mask, total=total)
            fitted.loss.backward()
            metrics["token_baseline_error"] = fitted.metrics["value_error"]
            spread = spread - eta.detach()
        if config.clip is None:
            actor = losses.policy_gradient(logprobs.reshape(shape), spread, mask, total=total)
        else:
            actor = losses.ppo_clip(
                logprobs.reshape(shape),
                part.old_logprobs.reshape(shape),
                spread,
                mask,
                clip_low=config.clip,
                clip_high=config.clip,
                total=total,
            )
        actor.loss.backward()
        surprise = losses.entropy(entropy.detach().reshape(shape), mask)
        history.append({**metrics, **actor.metrics, **surprise.metrics})
    trained = [p for p in learner.model.parameters() if p.requires_grad]
    history[-1]["grad_norm"] = support.optimizer_step(learner.optimizer, trained, config.max_norm)
    if config.token_baseline:
        support.optimizer_step(
            learner.critic_optimizer, learner.critic.parameters(), config.max_norm
        )
    return {name.removeprefix("loss/"): value for name, value in update_metrics(history).items()}


def _token_baseline(learner: Learner, part: _Part, shape: tuple[int, int]) -> Tensor:
    """eta: the advantage as foreseen before each token (paper, section 3.4), [B, N * K]."""
    with (
        torch.no_grad()
    ):  # the critic's decoder serves the values; only the head learns the baseline
        hidden = encode(learner.critic, part.grown)
    return learner.critic.token_values(hidden, part.grown.predictor.reshape(shape))[..., 0]


@torch.no_grad()
def judge(
    learner: Learner, episodes: Sequence[Episode], config: Config
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(advantages_ET, values_ET) of the actions that were taken, for the log and the report."""
    batch = make_batch(episodes, learner.chat)
    grids = torch.zeros(2, *batch.turn_mask.shape)
    for rows in by_length(batch.lengths, config.micro_tokens):
        part = batch.rows(rows)
        hidden = learner.critic.encode(part.ids)
        q = q_heads(learner.critic, hidden, part.after_turn, part.before_turn, config)
        q = q.min(-1).values
        v = learner.critic.values(hidden, part.before_turn).min(-1).values
        grids[0, rows, : q.shape[1]], grids[1, rows, : v.shape[1]] = q - v, v
    advantages_ET, values_ET = (batch.by_episode(grid, len(episodes)) for grid in grids)
    return advantages_ET, values_ET


def advantage_share(
    episodes: Sequence[Episode],
    advantages_ET: Sequence[np.ndarray],
    values_ET: Sequence[np.ndarray],
    config: Config,
) -> tuple[float, float]:
    """How far the critic can be trusted, on fresh episodes against their Monte Carlo returns.

    Returns:
        The share of the returns' variance that V explains, and the share of what V leaves open that
        Q - V explains; 0 for a constant, negative for what is worse than none.
    """
    returns_ET = [
        discounted_returns([t.reward for t in e.turns], config.discount) for e in episodes
    ]
    returns, values, judged = (np.concatenate(x) for x in (returns_ET, values_ET, advantages_ET))
    return explained_variance(values, returns), explained_variance(judged, returns - values)


def train(
    env: str,
    model: str | Path,
    out: str | Path,
    config: Config = Config(),
    *,
    resume: bool = False,
) -> Path:
    """Train the model of a folder or hub id on an environment's training split; returns the run
    folder.
    """
    given = {"algorithm": "archer", "env": env, "model": str(model), **asdict(config)}
    run = support.open_run(out, given, resume=resume)
    state = run.load_state()
    with torch.random.fork_rng():
        support.seed_all(config.seed)
        learner = Learner(*load_model(run.path / "checkpoints" if state else model), config)
    start = 0
    if state:
        learner.load(state)
        learner.replay = ReplayBuffer.load(
            run.path / "checkpoints" / "replay.jsonl", config.replay_turns
        )
        start = state["iteration"]
    with support.interruptible() as stop, support.progress("archer", config.iterations) as advance:
        advance(start)
        for iteration in range(start, config.iterations):
            generator = np.random.default_rng((config.seed, iteration))
            policy = LMPolicy(learner.model, learner.chat, learner.sampling, version=iteration)
            seeds = generator.integers(2**31, size=config.episodes).tolist()
            episodes = collect(
                env,
                policy,
                seeds,
                width=128,
                max_turns=config.max_turns,
                split=training_split(env),
                policy_seed=config.seed,
            )
            advantages_ET, values_ET = judge(learner, episodes, config)
            learner.replay.add(episodes)

            explained, trusted = advantage_share(episodes, advantages_ET, values_ET, config)
            wait = iteration < config.warmup_iterations
            wait = wait or (config.trust is not None and trusted <= config.trust)
            # as long as the actor has never moved, the replayed returns are its own
            warm = wait and learner.actor_updates == 0
            steps = config.warmup_critic_steps if warm else config.critic_steps
            fitted = [update_critic(learner, config, warm, generator) for _ in range(steps)]
            moved = {} if wait else update_actor(learner, config, generator)
            learner.actor_updates += not wait

            run.log(
                iteration,
                {
                    **rollout_metrics(episodes),
                    "critic/explained_variance": explained,
                    "critic/advantage_explained_variance": trusted,
                    **{name: float(np.mean([row[name] for row in fitted])) for name in fitted[0]},
                    **moved,
                },
            )
            run.episodes(episodes[:8])
            run.credit(zip((e.id for e in episodes[:8]), advantages_ET, values_ET, strict=False))
            advance(1, success=float(np.mean([e.success for e in episodes])))
            last = iteration + 1 == config.iterations
            if last or stop.requested or (iteration + 1) % config.save_every == 0:
                run.save(
                    lambda folder: _save(learner, folder),
                    {"iteration": iteration + 1, **learner.state()},
                )
            if stop.requested:
                break
    return run.path


def _save(learner: Learner, folder: Path) -> None:
    learner.chat.save(learner.model, folder)
    learner.replay.save(folder / "replay.jsonl")
