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
- The actor's steps are clipped as in PPO, and its advantages centred and scaled; `clip=None` is the
  paper's REINFORCE, with advantages as they are. All steps of an iteration learn from actions that
  were sampled before the first of them; the paper samples anew for each.
- With `trust` the actor moves only in iterations in which the critic's advantages explain something
  of what happened in fresh episodes; None moves it always, as the paper does.
- Truncation bootstraps; the published code treats every time limit as terminal.
- Gradients of actor and critic are clipped apart and averaged over micro-batches; the published
  code sums.
"""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from transformers import PreTrainedModel

from agents.chat import Chat
from agents.critics import TurnCritic
from agents.devices import find_device
from agents.lm import LMPolicy
from agents.models import load_model, with_lora
from agents.rollout import Crash, collect
from agents.sampling import Sampling

from . import support
from .archer_actor import update_actor
from .archer_critic import judge, trustworthiness, update_critic
from .metrics import merged, rollout_metrics, training_split
from .replay import ReplayBuffer
from .settings import refuse_impossible
from .trainer.checks import check_episodes

REPLAY_TURNS = 100_000  # older episodes are dropped beyond this many turns
WARMUP = 2  # times as many critic steps in a warm-up iteration


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set; the demo's own choices stand in demo.py."""

    seed: int = 0  # seeds tasks, sampling and minibatches; the run repeats to the same numbers
    iterations: int = 40  # each collects, fits the critic, then moves the actor
    episodes: int = 64  # collected per iteration
    discount: float = 0.95  # per turn; below 1 prefers short solutions
    lam: float = 0.9  # of the Q target's lambda-return: 0 is one-step, as the paper; 1 Monte Carlo
    polyak: float = 0.1  # how far the target critic follows after every critic step
    batch_size: int = 32  # replayed episodes per step of critic or actor
    critic_steps: int = 24  # per iteration, twice as many per warm-up iteration
    critic_learning_rate: float = 1e-3  # of the critic
    warmup_iterations: int = 4  # the actor stays frozen for these
    warmup_target: Literal["monte_carlo", "td"] = "monte_carlo"  # what is fitted meanwhile
    actor_steps: int = 8  # optimizer steps on the actor per iteration
    siblings: int = 2  # fresh actions per turn; more means a steadier target and gradient
    learning_rate: float = 3e-4  # of the actor
    clip: float | None = 0.2  # ratio is held within 1 ± clip; None: the paper's REINFORCE, unscaled
    residual_q: bool = False  # Q = V + a head that starts at zero; False fits Q apart, as the paper
    trust: float | None = None  # the actor waits until Q - V explains this share of what V leaves
    token_baseline: bool = False  # subtract a fitted per-token prediction of the advantage
    max_norm: float = 1.0  # gradients of actor and critic longer than this are shortened
    lora_rank: int = 0  # above 0 trains low-rank adapters instead of all weights
    max_new_tokens: int = 16  # an action longer than this is cut
    max_turns: int | None = None  # truncate episodes here, besides the task's own limit
    micro_tokens: int = 2048  # padded tokens per pass; fits a CPU cache, a GPU likes 16 times more
    gradient_checkpointing: bool = False  # less memory for a third more time
    save_every: int = 10  # iterations between checkpoints

    def __post_init__(self) -> None:
        refuse_impossible(self)
        if not 0 <= self.discount <= 1 or not 0 <= self.lam <= 1 or not 0 < self.polyak <= 1:
            raise ValueError("discount and lam must be in [0, 1] and polyak in (0, 1]")
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
        self.replay = ReplayBuffer(REPLAY_TURNS)
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
        self.critic.load_state_dict(state["critic"])
        self.target.load_state_dict(state["target"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.critic_optimizer.load_state_dict(state["critic_optimizer"])
        self.actor_updates = state["actor_updates"]


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
    """Train the model of a folder or hub id on an environment's training split; returns the run
    folder. Policy and critic are on `device`: "cpu", "cuda", "cuda:1".
    Environments are stepped as `agents.starts.Limits` says of `env_workers` and `step_timeout`;
    those that break are left out and counted.
    """
    where = find_device(device)
    given = {"algorithm": "archer", "env": env, "model": str(model), **asdict(config)}
    run = support.open_run(out, given, resume=resume)
    state = run.load_state()
    with torch.random.fork_rng():
        support.seed_all(config.seed)
        language_model, chat = load_model(run.path / "checkpoints" if state else model)
        learner = Learner(language_model.to(where), chat, config)  # type: ignore[arg-type]
    if state:
        learner.load(state)
        learner.replay = ReplayBuffer.load(run.path / "checkpoints" / "replay.jsonl", REPLAY_TURNS)
    start = state["iteration"] if state else 0
    for iteration in support.iterations(
        run, "archer", config.iterations, start, config.save_every, lambda n: _save(run, learner, n)
    ):
        generator = np.random.default_rng((config.seed, iteration))
        with run.phase("collect"):
            crashes: list[Crash] = []
            episodes = collect(
                env,
                LMPolicy(learner.model, learner.chat, learner.sampling, version=iteration),
                generator.integers(2**31, size=config.episodes).tolist(),
                width=128,
                max_turns=config.max_turns,
                split=training_split(env),
                policy_seed=config.seed,
                env_workers=env_workers,
                step_timeout=step_timeout,
                crashes=crashes,
            )
        check_episodes(episodes)
        with run.phase("credit"):
            judged = judge(learner, episodes, config)
            trust = trustworthiness(episodes, judged, config.discount)
        learner.replay.add(episodes)
        measured = update(
            learner,
            iteration,
            trust["critic/advantage_explained_variance"],
            config,
            generator,
            phase=run.phase,
        )
        run.log(iteration, {**rollout_metrics(episodes, crashes), **trust, **measured})
        run.episodes(episodes[:8])
        names = (episode.id for episode in episodes[:8])
        run.credit(zip(names, judged.advantages_ET, judged.values_ET, strict=False))
    return run.path


def update(
    learner: Learner,
    iteration: int,
    trusted: float,
    config: Config,
    generator: np.random.Generator,
    phase: Callable[[str], AbstractContextManager[None]],
) -> dict[str, float]:
    """Some critic steps, and unless the actor waits for a better critic, some of its own."""
    wait = iteration < config.warmup_iterations
    wait = wait or (config.trust is not None and trusted <= config.trust)
    # as long as the actor has never moved, the replayed returns are its own
    warm = wait and learner.actor_updates == 0
    steps = config.critic_steps * (WARMUP if warm else 1)
    with phase("critic"):
        fitted = [update_critic(learner, config, warm, generator) for _ in range(steps)]
    means = merged(fitted)
    if wait:
        return means
    learner.actor_updates += 1
    with phase("actor"):
        return {**means, **update_actor(learner, config, generator)}


def _save(run: support.Run, learner: Learner, complete: int) -> None:
    def into(folder: Path) -> None:
        learner.chat.save(learner.model, folder)
        learner.replay.save(folder / "replay.jsonl")

    run.save(into, {"iteration": complete, **learner.state()})
