"""What an utterance is worth (torch): two V and two Q heads, on one of four ways of reading.

| reads | what | its gradient moves |
|---|---|---|
| episode | all of an episode, actions in place, in one pass of its own decoder | that decoder |
| policy | the policy's own hidden states of that pass | the heads alone |
| turn | the last observations as a text, and the same text with the action behind it | an encoder |
| apart | the last observations, and the action alone, as the paper does | an encoder |

V reads the state before an utterance, which has seen nothing of it; Q reads that state and the one
behind the utterance. Heads answer in the unit of `set_unit`: a head that says 0 means the centre.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from .critics import own_decoder
from .encoders import TextEncoder
from .models import decoder

Reads = Literal["episode", "policy", "turn", "apart"]
WEIGHTS, SETTINGS = "judge.safetensors", "judge.json"


@dataclass(frozen=True, slots=True)
class Reading:
    """How a critic reads."""

    reads: Reads = "episode"  # the whole episode, the policy's states of it, or texts: see above
    encoder: str = ""  # of texts: a folder or hub id; "" is a copy of the policy's decoder
    history: int | None = 0  # texts: earlier turns read with the observation; None: all of them

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        if self.reads not in ("episode", "policy", "turn", "apart"):
            raise ValueError(f"reads {self.reads!r}; expected episode, policy, turn or apart")
        if self.encoder and self.reads in ("episode", "policy"):
            raise ValueError(f"encoder {self.encoder!r}: a critic of {self.reads} reads no texts")
        if self.history is not None and self.history < 0:
            raise ValueError(f"history {self.history}; expected at least 0, or None for all turns")

    def behind(self, past: str, action: str) -> str:
        """The text that tells of an action."""
        return f"{past}\n> {action}" if self.reads == "turn" else action


class UtteranceCritic(nn.Module):
    """Two V heads, two Q heads and a head that judges tokens; heads compute in float32.

    Args:
        model: The policy.
        reading: How situations are read.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, model: PreTrainedModel, reading: Reading = Reading()):
        super().__init__()
        self.reading = reading
        self.decoder: nn.Module | None = None
        self.encoder: TextEncoder | None = None
        own = width = int(model.config.hidden_size)
        if reading.reads == "episode":
            self.decoder = own_decoder(model).requires_grad_(True)
        elif reading.reads != "policy":
            self.encoder = TextEncoder(model, reading.encoder)
            width = self.encoder.width
        self.value_head = _Heads(width, width, 2)
        self.action_value_head = _Heads(2 * width, width, 2)
        self.token_value_head = _Heads(own, own, 1)
        self.register_buffer("centre", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))
        self.to(model.device)

    def set_unit(self, centre: float, scale: float) -> None:
        """Say what the heads' 0 and 1 mean in the environment's own unit of return."""
        self.centre.fill_(centre)
        self.scale.fill_(scale)

    def stack(self, policy: PreTrainedModel) -> nn.Module:
        """The decoder that reads episodes: its own, or the policy's."""
        return decoder(policy) if self.decoder is None else self.decoder

    def values(self, before: Tensor) -> Tensor:
        """V_k [..., 2] of states [..., width] before an utterance."""
        return self.centre + self.scale * self.value_head(before)

    def action_values(self, before: Tensor, behind: Tensor) -> Tensor:
        """Q_k [..., 2] of states [..., width] before and behind an utterance."""
        return self.centre + self.scale * self.action_value_head(torch.cat([before, behind], -1))

    def token_values(self, before: Tensor) -> Tensor:
        """What is foreseen of an advantage [...] from the policy's states [..., width]."""
        return self.token_value_head(before).squeeze(-1)


class _Heads(nn.Module):
    """Scalar heads that share nothing.

    On a shared layer two heads that begin at 0 would get the same gradients and stay one head.
    """

    def __init__(self, inputs: int, width: int, heads: int):
        super().__init__()
        self.heads = nn.ModuleList()
        for _ in range(heads):
            last = nn.Linear(width, 1)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            self.heads.append(nn.Sequential(nn.Linear(inputs, width), nn.GELU(), last))

    def forward(self, states: Tensor) -> Tensor:
        return torch.cat([head(states) for head in self.heads], -1)


def save_judge(critic: UtteranceCritic, folder: Path, candidates: int) -> None:
    """Write the critic beside a model, so that `hf:FOLDER` plays the best of its candidates."""
    state = {name: value.contiguous() for name, value in critic.state_dict().items()}
    save_file(state, folder / WEIGHTS)
    settings = {"candidates": candidates, **asdict(critic.reading)}
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def load_judge(model: PreTrainedModel, folder: Path) -> tuple[UtteranceCritic, int]:
    """The critic that `save_judge` wrote, and how many candidates it chooses among."""
    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    candidates = int(settings.pop("candidates"))
    critic = UtteranceCritic(model, Reading(**settings))
    critic.load_state_dict(load_file(folder / WEIGHTS))
    return critic.eval(), candidates
