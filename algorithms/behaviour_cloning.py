"""Behaviour cloning on episodes, plain and filtered (torch): imitate what was played.

L = -mean over the demonstrated tokens of log pi(token | everything before it). With
`observation_weight` w, w log pi of the tokens that were read is added before dividing: a model made
on the spot learns what its world answers, and from it to copy, remember and name. Filtered cloning
keeps the best share of the episodes by return first (the %BC baseline of Chen et al., Decision
Transformer, 2021, section 5; LMRL-Gym's filtered BC).

`train` clones a model on an episode file or on the scripted play of an environment; `pretrain`
first makes a tiny model and a tokenizer on the spot, so that nothing has to be downloaded. Of a
file only the episodes of one minibatch are in memory.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from agents import make_policy, tiny
from agents.chat import Chat
from agents.devices import find_device
from agents.models import load_model
from agents.rollout import collect
from lmenvs.types import Episode

from . import losses, support
from .batch import TokenBatch
from .datasets.batches import open_batches
from .datasets.file import EpisodeFile
from .forward import micro_batches, policy_logprobs
from .metrics import merged, training_split, update_metrics
from .parallel import SideBySide
from .settings import refuse_impossible

MOST_READ = 20_000  # episodes of a file that a new model's tokenizer is made of


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set; the demo's own choices stand in demo.py."""

    seed: int = 0  # seeds demonstrations, weights of a new model, and minibatches
    demonstrator: str = "expert?noise=0.5"  # any policy spec; it plays the training split
    episodes: int = 2000  # how many demonstrations it plays
    demonstrations: str | None = None  # an episode file to imitate instead
    keep: float = 1.0  # imitate the best share of the episodes by return; below 1 is filtered BC
    epochs: int = 6  # passes over the demonstrations
    learning_rate: float = 2e-3  # at its highest; rises over 5 % of the steps, falls to 0
    batch_size: int = 16  # episodes per optimizer step
    observation_weight: float = 0.0  # of each token that is read; above 0 also learns the world
    max_norm: float = 1.0  # gradients longer than this are shortened
    micro_tokens: int = 2048  # padded tokens per pass; fits a CPU cache, a GPU likes 16 times more
    gradient_checkpointing: bool = False  # less memory for a third more time
    save_every: int = 1  # epochs between checkpoints

    def __post_init__(self) -> None:
        refuse_impossible(self)
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep {self.keep}; expected a share in (0, 1]")


@dataclass(frozen=True, slots=True)
class TinyConfig:
    """The model that `pretrain` makes; the defaults give about 1.1 million parameters."""

    hidden: int = 160  # width of the residual stream
    layers: int = 3  # transformer blocks
    heads: int = 4  # attention heads; must divide hidden
    context: int = 2048  # longest conversation in tokens
    vocabulary_size: int = 1536  # at most this many tokens
    spelled: bool = False  # words begin as the sums of vectors of their letters
    memory: int | None = None  # turns before the present one that it reads; None: all of them
    clone: Config = field(default_factory=Config)  # how it is cloned

    def __post_init__(self) -> None:
        refuse_impossible(self)
        if self.hidden % (2 * self.heads):  # rotary positions turn pairs of numbers
            raise ValueError(
                f"hidden {self.hidden}, heads {self.heads}; expected heads that divide hidden into "
                "even parts"
            )


def best(episodes: Sequence[Episode], keep: float) -> list[Episode]:
    """The share `keep` of the episodes with the highest returns, at least one, in their order."""
    count = max(1, round(keep * len(episodes)))
    order = sorted(range(len(episodes)), key=lambda i: -episodes[i].total_reward)
    return [episodes[i] for i in sorted(order[:count])]


def demonstrations(env: str, config: Config) -> list[Episode] | EpisodeFile:
    """Episodes to imitate: those of the environment in the file (whatever its arguments were), or
    played by the demonstrator on training tasks.

    Raises:
        ValueError: if the file has no episodes or none of this environment.
    """
    if config.demonstrations is not None:
        recorded = EpisodeFile(config.demonstrations, env)
        return recorded.only(recorded.best(config.keep))
    seeds = np.random.default_rng((config.seed, 0)).integers(2**31, size=config.episodes).tolist()
    episodes = collect(
        env,
        make_policy(config.demonstrator),
        seeds,
        split=training_split(env),
        policy_seed=config.seed,
        width=64,
        record=False,
    )
    return best(episodes, config.keep)


def update(
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    batch: TokenBatch,
    config: Config,
    threads: SideBySide | None = None,
) -> dict[str, float]:
    """One optimizer step on a batch of demonstrations; `threads` share each micro-batch."""
    total = float(batch.policy_mask.sum())
    history: list[dict[str, float]] = []

    def loss(model: PreTrainedModel, part: TokenBatch) -> tuple[Tensor, dict[str, float]]:
        learned = (
            part if config.observation_weight == 0 else replace(part, policy_mask=part.follows)
        )
        logprobs, _ = policy_logprobs(
            model, learned, entropy="none", checkpointing=config.gradient_checkpointing
        )
        imitation = losses.negative_log_likelihood(logprobs, part.policy_mask, total=total)
        world = losses.negative_log_likelihood(
            logprobs, learned.policy_mask & ~part.policy_mask, total=total
        )
        return imitation.loss + config.observation_weight * world.loss, imitation.metrics

    for rows in micro_batches(batch, config.micro_tokens):
        part = batch.rows(rows)
        if threads is not None:
            history += threads.backward(part, loss)
            continue
        value, numbers = loss(model, part)
        value.backward()
        history.append(numbers)
    history[-1]["grad_norm"] = support.optimizer_step(
        optimizer, model.parameters(), config.max_norm
    )
    return update_metrics(history)


def clone(
    run: support.Run,
    model: PreTrainedModel,
    chat: Chat,
    episodes: Sequence[Episode] | EpisodeFile,
    config: Config,
) -> None:
    """Imitate the episodes for some epochs, with checkpoints; goes on where the run folder
    stands.
    """
    batches = open_batches(episodes, chat, next(model.parameters()).device)
    steps_per_epoch = -(-len(batches) // config.batch_size)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=0.0, fused=True
    )
    schedule = _schedule(optimizer, steps_per_epoch * config.epochs)
    start = 0
    state = run.load_state()
    if state:
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        start = state["iteration"]
    with (
        support.interruptible() as stop,
        support.progress("behaviour cloning", config.epochs * steps_per_epoch) as advance,
        SideBySide(model) as threads,
    ):
        advance(start * steps_per_epoch)
        for epoch in range(start, config.epochs):
            order = np.random.default_rng((config.seed, 1 + epoch)).permutation(len(batches))
            history: list[dict[str, float]] = []
            with run.phase("update"):
                for rows in np.array_split(order, steps_per_epoch):
                    history.append(update(model, optimizer, batches.rows(rows), config, threads))
                    schedule.step()
                    advance(1, loss=history[-1]["loss/negative_log_likelihood"])
            run.log(epoch, {**merged(history), **batches.metrics})
            if stop.requested or (epoch + 1) % config.save_every == 0 or epoch + 1 == config.epochs:
                state = {
                    "iteration": epoch + 1,
                    "optimizer": optimizer.state_dict(),
                    "schedule": schedule.state_dict(),
                }
                with run.phase("save"):
                    run.save(lambda folder: chat.save(model, folder), state)
            if stop.requested:
                break


def _schedule(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    """A linear rise over the first twentieth of the steps, then half a cosine down to 0."""
    warm = max(2, steps // 20)  # with 1, OneCycleLR divides by the length of an empty phase

    def share(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 + 0.5 * math.cos(math.pi * (step - warm) / max(1, steps - warm))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, share)


def train(
    env: str,
    model: str | Path,
    out: str | Path,
    config: Config = Config(),
    *,
    data: str | Path | None = None,
    resume: bool = False,
    device: str = "cpu",
) -> Path:
    """Clone an existing model on `device` ("cpu", "cuda"); returns the run folder.

    Raises:
        ValueError: where `data`, a file of episodes, and `config.demonstrations` are both given.
    """
    where = find_device(device)
    if data is not None:
        if config.demonstrations is not None:
            raise ValueError(
                f"expected one file of episodes, got {data} and {config.demonstrations}; "
                "give --data alone"
            )
        config = replace(config, demonstrations=str(data))
    given = {"algorithm": "behaviour_cloning", "env": env, "model": str(model), **asdict(config)}
    run = support.open_run(out, given, resume=resume)
    state = run.load_state()
    language_model, chat = load_model(run.path / "checkpoints" if state else model)
    language_model.to(where)  # type: ignore[arg-type]
    clone(run, language_model, chat, demonstrations(env, config), config)
    return run.path


def pretrain(
    env: str,
    out: str | Path,
    config: TinyConfig = TinyConfig(),
    *,
    resume: bool = False,
    device: str = "cpu",
) -> Path:
    """Make a tiny model and its tokenizer, and clone it on scripted play; returns the run
    folder. The model is trained on `device`: "cpu", "cuda".
    """
    where = find_device(device)
    given = {"algorithm": "pretrain", "env": env, **asdict(config)}
    run = support.open_run(out, given, resume=resume)
    episodes = demonstrations(env, config.clone)
    if run.load_state():
        language_model, chat = load_model(run.path / "checkpoints")
    else:
        tokenizer = tiny.make_tokenizer(_texts(episodes), config.vocabulary_size)
        language_model = tiny.make_model(
            tokenizer,
            hidden=config.hidden,
            layers=config.layers,
            heads=config.heads,
            context=config.context,
            spelled=config.spelled,
            seed=config.clone.seed,
        )
        chat = Chat(tokenizer, config.context, config.memory)
    language_model.to(where)  # type: ignore[arg-type]
    clone(run, language_model, chat, episodes, config.clone)
    return run.path


def _texts(episodes: Sequence[Episode] | EpisodeFile) -> Iterator[str]:
    """What the tokenizer is made of: of a large file, episodes at equal distances."""
    count = min(len(episodes), MOST_READ) if isinstance(episodes, EpisodeFile) else len(episodes)
    chosen = np.linspace(0, len(episodes) - 1, count).astype(int).tolist()
    for index in chosen:
        yield episodes[index].instructions
    for index in chosen:
        for turn in episodes[index].turns:
            yield turn.observation
            yield " " + turn.action.text
