"""What learns: the policy, its optimizer and, for some, a critic with its own (torch)."""

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import PreTrainedModel

from agents.chat import Chat
from agents.critics import TurnCritic
from agents.models import with_lora

from .config import Config

Judges = Literal["nothing", "turns", "tokens"]


class Learner:
    """The policy and, where one judges, the critic, with their optimizers.

    Attributes:
        pace: The share of the policy's learning rate in force: see `keep_pace`.
        entropy_bonus: The coefficient in force; `Objective.target_entropy` moves it.
        kept: Plain data that an algorithm carries from one iteration to the next.

    Args:
        model: The policy; a critic begins as a copy of it.
        chat: Its conversation format.
        config: The algorithm's settings.
        judges: What the critic judges, if there is one.
        critic_learning_rate: Of the critic.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        chat: Chat,
        config: Config,
        judges: Judges = "nothing",
        critic_learning_rate: float = 1e-3,
    ):
        self.chat = chat
        self.judges: Judges = judges
        self.pace = 1.0
        self.entropy_bonus = config.objective.entropy_bonus
        self.kept: dict[str, Any] = {}
        self.critic = None if judges == "nothing" else TurnCritic(model)
        self.model = with_lora(model, config.lora_rank) if config.lora_rank else model
        self.optimizer = _adam(self.trained, config.learning_rate)
        self.critic_optimizer: torch.optim.Optimizer | None = None
        self._critic_rate = critic_learning_rate
        if self.critic is not None:
            self.critic_optimizer = _adam(self.critic.parameters(), critic_learning_rate)

    @property
    def trained(self) -> list[Tensor]:
        """The policy's weights that the optimizer moves."""
        return [p for p in self.model.parameters() if p.requires_grad]

    def set_rates(self, share: float, config: Config) -> None:
        """Run both optimizers at this share of their learning rates."""
        rates = [(self.optimizer, config.learning_rate * self.pace)]
        if self.critic_optimizer is not None:
            rates.append((self.critic_optimizer, self._critic_rate))
        for optimizer, rate in rates:
            for group in optimizer.param_groups:
                group["lr"] = rate * share

    def keep_pace(self, resting: float) -> None:
        """Slow down where the policy rested for most of an iteration, speed up where it did not."""
        if resting > 0.5:
            self.pace *= 0.7
        elif resting == 0:
            self.pace = min(1.0, 1.2 * self.pace)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps besides the model's own folder."""
        state = {
            "pace": self.pace,
            "entropy_bonus": self.entropy_bonus,
            "kept": self.kept,
            "optimizer": self.optimizer.state_dict(),
        }
        if self.critic is not None and self.critic_optimizer is not None:
            state["critic"] = self.critic.state_dict()
            state["critic_optimizer"] = self.critic_optimizer.state_dict()
        return state

    def load(self, state: dict[str, Any]) -> None:
        """Take on what `state` returned."""
        self.pace, self.entropy_bonus = state["pace"], state["entropy_bonus"]
        self.kept = state["kept"]
        self.optimizer.load_state_dict(state["optimizer"])
        if self.critic is not None and self.critic_optimizer is not None:
            self.critic.load_state_dict(state["critic"])
            self.critic_optimizer.load_state_dict(state["critic_optimizer"])


def _adam(parameters: Iterable[Tensor], rate: float) -> torch.optim.Optimizer:
    # With the usual 0.999 a token that was not said for a while moves 3 rates at once, and with
    # 1e-8 however small its gradient is: one step could move the policy by 0.1 nats and more.
    return torch.optim.AdamW(parameters, rate, betas=(0.9, 0.99), eps=1e-5, weight_decay=0.0)


def rate_share(done: float, anneal: float) -> float:
    """The share of the learning rates in force once so much of the run is done.

    >>> [round(rate_share(done, anneal=0.1), 3) for done in (0.0, 0.5, 1.0)]
    [1.0, 1.0, 0.1]
    """
    return 1 - (1 - anneal) * max(0.0, 3 * done - 2)
