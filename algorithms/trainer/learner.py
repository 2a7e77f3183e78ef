"""What learns: the policy, its optimizer and, for some, a critic with its own (torch)."""

import copy
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from agents.chat import Chat
from agents.critics import TurnCritic
from agents.models import with_lora

from .config import Rates

Judges = Literal["nothing", "turns", "tokens"]
MakeCritic = Callable[[PreTrainedModel], nn.Module]


class Learner:
    """The policy and, where one judges, the critic, with their optimizers.

    Attributes:
        critic: What judges, or None.
        target: A frozen copy of the critic that follows it (`agents.critics.move_towards`), or
            None.
        pace: The share of the policy's learning rate in force: see `keep_pace`.
        entropy_bonus: The coefficient in force; `Objective.target_entropy` moves it.
        kept: Plain data that an algorithm carries from one iteration to the next.
        beside: What else goes into a checkpoint's folder beside the model: each is called with it.

    Args:
        model: The policy.
        chat: Its conversation format.
        config: The algorithm's settings.
        judges: What the critic judges, if there is one.
        critic_learning_rate: Of the critic.
        critic: Makes the critic from the policy; by default a copy of its decoder with a head.
        target: Whether there is a target critic.
        entropy_bonus: The coefficient that the run begins with.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        chat: Chat,
        config: Rates,
        judges: Judges = "nothing",
        critic_learning_rate: float = 1e-3,
        critic: MakeCritic = TurnCritic,
        target: bool = False,
        entropy_bonus: float = 0.0,
    ):
        self.chat = chat
        self.judges: Judges = judges
        self.pace = 1.0
        self.entropy_bonus = entropy_bonus
        self.kept: dict[str, Any] = {}
        self.beside: list[Callable[[Path], None]] = []
        self.critic = None if judges == "nothing" else critic(model)
        self.target: nn.Module | None = None
        if self.critic is not None and target:
            self.target = copy.deepcopy(self.critic).requires_grad_(False)
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

    def set_rates(self, share: float, config: Rates) -> None:
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

    def save(self, folder: Path) -> None:
        """Write what plays: the model's folder, and what stands `beside` it."""
        self.chat.save(self.model, folder)
        for write in self.beside:
            write(folder)

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
        if self.target is not None:
            state["target"] = self.target.state_dict()
        return state

    def load(self, state: dict[str, Any]) -> None:
        """Take on what `state` returned."""
        self.pace, self.entropy_bonus = state["pace"], state["entropy_bonus"]
        self.kept = state["kept"]
        self.optimizer.load_state_dict(state["optimizer"])
        if self.critic is not None and self.critic_optimizer is not None:
            self.critic.load_state_dict(state["critic"])
            self.critic_optimizer.load_state_dict(state["critic_optimizer"])
        if self.target is not None:
            self.target.load_state_dict(state["target"])


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
