"""Utterance-level IQL: a clone of the data that says the best of several answers (torch).

The baseline of LMRL-Gym's and ILQL's code: the policy imitates the file, plainly; beside it
ArCHer's critic is fitted to the file by implicit Q-learning (Kostrikov et al., 2022), V to an
expectile of Qbar(o, a) over the data's actions, Q to r + discount * (1 - terminated) * Vbar(o').
In play the clone answers `candidates` times and says what has the greatest min_k Q_k:
`hf:RUN` does so (agents/best_of_n.py).
"""

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from agents.best_of_n import BestOfN
from agents.lm import LMPolicy
from agents.sampling import Sampling
from agents.utterance_critics import Reading, UtteranceCritic, save_judge

from . import losses
from .batch import TokenBatch
from .metrics import update_metrics
from .settings import refuse_impossible
from .trainer.logged_values import policy_step
from .trainer.offline import OfflineSession, open_offline
from .utterances.critic import CriticOptions, critic_of
from .utterances.offline import prepare_unit, step_on_data


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds what is drawn; the run repeats to the same numbers
    iterations: int = 30  # each makes `steps` optimizer steps, then logs
    steps: int = 50  # optimizer steps per iteration, of critic and policy alike
    batch_size: int = 16  # episodes per step
    discount: float = 0.95  # per turn; below 1 prefers short solutions
    critic: CriticOptions = field(
        default_factory=lambda: CriticOptions(Reading("turn"), v_target="expectile", expectile=0.9)
    )  # its reader and its targets
    candidates: int = 5  # answers to choose from at each turn
    learning_rate: float = 1e-3  # of the policy; 0 leaves a clone as it is
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
        if self.critic.v_target != "expectile" or self.candidates < 1:
            raise ValueError(
                f"v_target {self.critic.v_target!r}, candidates {self.candidates}; expected "
                '"expectile", as a file says nothing of other actions, and at least 1'
            )


def clone(session: OfflineSession, batch: TokenBatch, config: Config) -> dict[str, float]:
    """One step of plain imitation."""
    total = float(batch.policy_tokens)

    def loss(part: TokenBatch, rows: Tensor, logprobs: Tensor) -> losses.LossOutput:
        return losses.negative_log_likelihood(logprobs, part.policy_mask, total=total)

    return policy_step(session.learner, batch, loss, config)


def best_of(session: OfflineSession, iteration: int, config: Config) -> BestOfN:
    """What plays: the clone, as the critic chooses."""
    learner = session.learner
    sampling = Sampling(max_new_tokens=config.max_new_tokens)
    clone = LMPolicy(learner.model, learner.chat, sampling, iteration)
    critic, _ = critic_of(learner)
    return BestOfN(clone, critic, learner.model, learner.chat, config.candidates)


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
        "utterance_iql",
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
    critic, _ = critic_of(session.learner)
    session.learner.beside.append(lambda folder: save_judge(critic, folder, config.candidates))
    for iteration, generator in session.iterations():
        history: list[dict[str, float]] = []
        with session.phase("update"):
            for _ in range(config.steps):
                episodes = session.draw(generator)
                batch = session.batch(episodes)
                history.append(
                    step_on_data(session, episodes, batch, config.critic, config.discount)
                    | clone(session, batch, config)
                )
        session.log(iteration, update_metrics(history), best_of(session, iteration, config))
    return session.path
