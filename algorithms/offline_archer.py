"""Offline ArCHer: from a file, an implicit critic over utterances and a policy by its weights
(torch).

Paper: Zhou et al., ArCHer (2024), appendix on offline training. The critic is ArCHer's, but nobody
is asked what else could have been said: V_k(o) is fitted to an expectile (0.9) of Qbar_k(o, a) over
the data's actions, Q_k(o, a) to r + discount * (1 - terminated) * Vbar_k(o') (IQL, Kostrikov et
al., 2022). The policy imitates the data with weights exp(A / temperature), at most
`losses.implicit_q.LARGEST_WEIGHT`, A = min_k Q_k(o, a) - min_k V_k(o) (advantage-weighted
regression). With `kl` it is held close to the model it began as, too: the IQL + KL variant.

Deviations:
- The first iterations fit the critic alone (`critic_iterations`); the code moves both at once.
- Q may follow a lambda-return (`critic.lam`), in the unit of the data's returns.
- Truncation bootstraps; the published code treats every time limit as terminal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from agents.utterance_critics import Reading, UtteranceCritic
from lmenvs.types import Episode

from . import losses
from .batch import TokenBatch
from .losses.implicit_q import LARGEST_WEIGHT, advantage_weights
from .metrics import update_metrics
from .reference import Reference
from .settings import refuse_impossible
from .trainer.logged_values import policy_step
from .trainer.offline import OfflineSession, open_offline
from .utterances.critic import CriticOptions, judge
from .utterances.offline import prepare_unit, step_on_data


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds what is drawn; the run repeats to the same numbers
    iterations: int = 30  # each makes `steps` optimizer steps, then logs
    critic_iterations: int = 10  # the first ones fit the critic only
    steps: int = 50  # optimizer steps per iteration
    batch_size: int = 16  # episodes per step
    discount: float = 0.95  # per turn; below 1 prefers short solutions
    critic: CriticOptions = field(
        default_factory=lambda: CriticOptions(Reading("turn"), v_target="expectile", expectile=0.9)
    )  # its reader and its targets
    temperature: float = (
        0.3  # of weights, in the reward's unit; small ones copy the best turns only
    )
    kl: float = 0.0  # above 0 holds the policy to where it began; costs a pass
    learning_rate: float = 1e-3  # of the policy; a pretrained 1 B model wants about 1e-6
    anneal: float = 0.1  # over the last third, learning rates fall to this share; 1 holds them
    max_norm: float = 1.0  # gradients longer than this are shortened
    lora_rank: int = 0  # above 0 trains low-rank adapters instead of all weights
    evaluations: int = 32  # training tasks played per iteration for the log; 0 plays none
    max_new_tokens: int = 16  # an action longer than this is cut
    max_turns: int | None = None  # truncate played episodes here, besides the task's own limit
    width: int = 128  # conversations answered at once
    micro_tokens: int = 2048  # padded tokens per pass; fits a CPU cache, a GPU likes 16 times more
    gradient_checkpointing: bool = False  # less memory for a third more time
    save_every: int = 10  # iterations between checkpoints

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        refuse_impossible(self)
        if not self.temperature > 0 or self.kl < 0:
            raise ValueError(
                f"temperature {self.temperature}, kl {self.kl}; expected above 0, and at least 0"
            )
        if self.critic.v_target != "expectile":
            raise ValueError(
                f'v_target {self.critic.v_target!r}; expected "expectile": a file has no other '
                "actions"
            )


def imitate(
    session: OfflineSession,
    episodes: Sequence[Episode],
    batch: TokenBatch,
    reference: Reference | None,
    config: Config,
) -> dict[str, float]:
    """One step of the policy towards what the critic thinks well of."""
    judged = judge(session.learner, episodes, batch, config.micro_tokens)
    spread = batch.spread(judged.advantages_ET)
    weights = advantage_weights(spread, batch.policy_mask, config.temperature)
    near = None if reference is None else reference.logprobs(batch, config.micro_tokens)
    total = float(batch.policy_tokens)

    def loss(part: TokenBatch, rows: Tensor, logprobs: Tensor) -> losses.LossOutput:
        cut = rows, slice(logprobs.shape[1])
        said = losses.negative_log_likelihood(logprobs, part.policy_mask, weights[cut], total=total)
        if near is None:
            return said
        held = losses.kl_penalty(logprobs, near[cut], part.policy_mask, kind="k2", total=total)
        numbers = {**said.metrics, "reference_kl": held.metrics["kl"]}
        return losses.LossOutput(said.loss + config.kl * held.loss, numbers)

    numbers = policy_step(session.learner, batch, loss, config)
    kept = weights[batch.policy_mask]
    return {
        **numbers,
        "weight_mean": float(kept.mean()),
        "weight_clipped": float((kept >= LARGEST_WEIGHT).float().mean()),
    }


def train(
    env: str,
    model: str | Path | None,
    out: str | Path,
    config: Config = Config(),
    *,
    data: str | Path,
    resume: bool = False,
    device: str = "cpu",
) -> Path:
    """Train on a file of episodes; returns the run folder.

    `model`, `data`, `device`: see `trainer.offline.open_offline`.
    """
    session = open_offline(
        "offline_archer",
        env,
        data,
        model,
        out,
        config,
        judges="turns",
        critic_learning_rate=config.critic.critic_learning_rate,
        critic=lambda policy: UtteranceCritic(policy, config.critic.reading),
        target=True,
        resume=resume,
        device=device,
    )
    prepare_unit(session, config.discount)
    reference = session.reference() if config.kl else None
    for iteration, generator in session.iterations():
        history: list[dict[str, float]] = []
        with session.phase("update"):
            for _ in range(config.steps):
                episodes = session.draw(generator)
                batch = session.batch(episodes)
                history.append(
                    step_on_data(session, episodes, batch, config.critic, config.discount)
                )
                if iteration >= config.critic_iterations:
                    history[-1] |= imitate(session, episodes, batch, reference, config)
        session.log(iteration, update_metrics(history))
    return session.path
