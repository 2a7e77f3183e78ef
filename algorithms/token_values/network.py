"""What ILQL and Monte Carlo returns share (torch): values beside a model, and one step of both.

The values are heads on the model's own decoder (agents/guidance.py), so that decoding with them
takes one pass; trunk and heads are trained together. Targets come from heads that follow slowly.
A value that precedes a token is read from the hidden state that predicts it, of policy tokens only;
on truncation one more is read behind the end.

Values are fitted in the data's own unit: offset and scale of the heads are mean and spread of the
returns in the file, so that a return of -100 costs no larger steps than one of 1.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from agents.critics import move_towards
from agents.devices import mixed_precision
from agents.guidance import Guide, save_guide
from agents.lm import LMPolicy
from agents.models import head_logits
from agents.sampling import Sampling

from .. import losses, support
from ..batch import TokenBatch
from ..losses.implicit_q import conservative, implicit_values
from ..metrics import merged
from ..trainer.offline import OfflineSession
from .pieces import Piece, Unit, piece_of, returns_of
from .reading import Judged, Places, Seen, judge, places_of, see

MEASURED = 256  # episodes whose returns give offset and scale


@dataclass(frozen=True, slots=True)
class Values:
    """What can be set of the values; nested in the Config of an algorithm."""

    discount: float = 0.98  # of what a turn (or token) later is worth; below 1 prefers what is soon
    unit: Unit = "turn"  # where the discount acts; LMRL-Gym's code discounts at every token
    turns: int | None = 16  # of an episode that a step reads at once, a piece; None for all
    heads_learning_rate: float = 1e-3  # of the heads; the trunk moves with the model
    weight: float = 5.0  # of fitting values, against imitation: how much of the trunk is theirs
    conservative: float = 0.01  # weight of keeping unsaid tokens' values down, in units of scale
    observations: float = 0.5  # weight of each token that is read: the trunk learns the world
    strength: float = 16.0  # how much values weigh against the model's own logits when decoding

    def __post_init__(self) -> None:
        if not 0 <= self.discount <= 1 or self.unit not in ("turn", "token"):
            raise ValueError(
                f"discount {self.discount}, unit {self.unit!r}; expected 0 to 1, turn or token"
            )
        names = ("heads_learning_rate", "weight", "conservative", "observations", "strength")
        for name in names:
            if not (value := asdict(self)[name]) >= 0:
                raise ValueError(f"{name} {value}; expected 0 or more")
        if self.turns is not None and self.turns < 1:
            raise ValueError(f"turns {self.turns}; expected at least 1, or None for all")


@dataclass(frozen=True, slots=True)
class Fit:
    """What a step fits: Q to `q`, V to the tau-expectile of `v`, imitation with weights; [B, L]."""

    q: Tensor
    v: Tensor
    tau: float
    weights: Tensor | None = None


MakeFit = Callable[[Sequence[Piece], TokenBatch, Judged], Fit]


def prepare(session: OfflineSession, settings: Values) -> Guide:
    """The heads of a session, in the unit of its data; its checkpoints keep them as a guide."""
    guide, slow = session.learner.critic, session.learner.target
    assert isinstance(guide, Guide) and isinstance(slow, Guide)
    generator = np.random.default_rng((session.config.seed, 0, 1))
    count = min(MEASURED, len(session.data))
    chosen = np.sort(generator.choice(len(session.data), count, replace=False))
    returns = [
        returns_L
        for number in chosen
        for episode in session.read([number])
        for returns_L in returns_of(episode, settings.discount, settings.unit)
    ]
    flat = np.concatenate(returns)
    for heads in (guide, slow):
        heads.strength = settings.strength
        heads.offset.fill_(float(flat.mean()))
        heads.scale.fill_(max(float(flat.std()), 1e-3))
    session.learner.beside.append(lambda folder: save_guide(guide, folder))
    return guide


def pieces(
    session: OfflineSession, settings: Values, generator: np.random.Generator
) -> list[Piece]:
    """One step's pieces of episodes from the file."""
    return [
        piece_of(
            episode,
            settings.turns,
            settings.discount,
            settings.unit,
            session.learner.chat,
            generator,
        )
        for episode in session.draw(generator)
    ]


def step(
    session: OfflineSession, drawn: Sequence[Piece], make_fit: MakeFit, settings: Values
) -> dict[str, float]:
    """One step of trunk and heads on pieces of episodes.

    Each micro-batch is read once: what the slow heads say there of the hidden states gives the
    targets, made without a gradient, and the others are fitted to them.
    """
    learner, config = session.learner, session.config
    guide, slow = learner.critic, learner.target
    assert isinstance(guide, Guide) and isinstance(slow, Guide)
    assert learner.critic_optimizer is not None
    total = float(sum(map(_said, drawn)))
    history: list[dict[str, float]] = []
    for part in _portions(drawn, config.micro_tokens):
        batch = session.batch([piece.episode for piece in part])
        seen = see(learner.model, batch, config.gradient_checkpointing)
        fit = make_fit(part, batch, judge(slow, batch, seen, len(part)))
        session.check(fit.q, batch.policy_mask)
        loss, numbers = _loss(learner.model, guide, batch, seen, fit, total, settings)
        loss.backward()
        history.append(numbers)
    norms = {
        "grad_norm": support.optimizer_step(learner.optimizer, learner.trained, config.max_norm),
        "critic_grad_norm": support.optimizer_step(
            learner.critic_optimizer, guide.parameters(), config.max_norm
        ),
    }
    return {**merged(history), **norms}


def _said(piece: Piece) -> int:
    return sum(len(turn.action.token_ids) for turn in piece.episode.turns)


def _portions(drawn: Sequence[Piece], tokens: int) -> list[list[Piece]]:
    """The pieces by length, so many together that they are about so many padded tokens."""

    def length(piece: Piece) -> int:
        actions = [turn.action for turn in piece.episode.turns]
        return sum(len(action.prompt_ids) + len(action.token_ids) for action in actions)

    portions: list[list[Piece]] = []
    for piece in sorted(drawn, key=length, reverse=True):
        if portions and (len(portions[-1]) + 1) * length(portions[-1][0]) <= tokens:
            portions[-1].append(piece)
        else:
            portions.append([piece])
    return portions


def _loss(
    model: PreTrainedModel,
    guide: Guide,
    batch: TokenBatch,
    seen: Seen,
    fit: Fit,
    total: float,
    settings: Values,
) -> tuple[Tensor, dict[str, float]]:
    """The loss of a micro-batch; losses see its policy tokens as one row."""
    said = seen.said
    place = said.row, said.column
    tokens = batch.ids[place]
    mask = torch.ones(1, len(tokens), dtype=torch.bool, device=tokens.device)
    # in units of the scale: steps are as large whatever the environment pays
    values = guide.values(said.states) / guide.scale
    action_values = guide.action_values(said.states) / guide.scale
    fitted = implicit_values(
        [q[said.which, tokens][None] for q in action_values],
        values[said.which][None],
        targets_for_q=(fit.q[place] / guide.scale)[None],
        targets_for_v=(fit.v[place] / guide.scale)[None],
        mask=mask,
        tau=fit.tau,
        total=total,
    )
    low = conservative(
        [torch.log_softmax(q, -1)[said.which, tokens][None] for q in action_values], mask, total
    )
    imitated = losses.negative_log_likelihood(
        _logprobs(model, said, tokens),
        mask,
        None if fit.weights is None else fit.weights[place][None],
        total,
    )
    loss = settings.weight * fitted.loss + settings.conservative * low.loss + imitated.loss
    if settings.observations:
        shown = places_of(seen.reading, batch.follows & ~batch.policy_mask)
        world_logprobs = _logprobs(model, shown, batch.ids[shown.row, shown.column])
        there = torch.ones_like(world_logprobs, dtype=torch.bool)
        world = losses.negative_log_likelihood(world_logprobs, there, None, total)
        loss = loss + settings.observations * world.loss
        imitated.metrics["observation"] = world.metrics["negative_log_likelihood"]
    return loss, {**fitted.metrics, **low.metrics, **imitated.metrics}


def _logprobs(model: PreTrainedModel, places: Places, tokens: Tensor) -> Tensor:
    """[1, N] log pi of tokens [N] at their places."""
    with mixed_precision(places.states.device):
        logits = head_logits(model, places.states)
    return torch.log_softmax(logits.float(), -1)[places.which, tokens][None]


def follow(session: OfflineSession, rate: float) -> None:
    """Move the slow heads towards the others."""
    guide, slow = session.learner.critic, session.learner.target
    assert guide is not None and slow is not None
    move_towards(slow, guide, rate)


def guided(session: OfflineSession, guide: Guide, version: int) -> LMPolicy:
    """What the session's model and heads play."""
    learner = session.learner
    sampling = Sampling(max_new_tokens=session.config.max_new_tokens)
    return LMPolicy(learner.model, learner.chat, sampling, version, guide)
