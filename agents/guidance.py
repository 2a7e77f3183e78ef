"""Value heads on a causal language model that shift its logits (torch): perturbed decoding.

    logits(s, .) = logits_beta(s, .) + strength (min_k Q_k(s, .) - V(s))

of the language model beta and what a value learner (ILQL, Monte Carlo returns) fitted beside it:
Snell et al., Offline RL for Natural Language Generation with Implicit Language Q Learning (2023),
section 4. All heads read beta's own last hidden state, the one that predicts the token, so that
decoding still takes one pass. Each head is a small network, computes in float32 and speaks in the
environment's own unit: `offset` and `scale` make that of numbers around 0. A head of Q says one
number for the state and one for each token, and Q is their sum (dueling, Wang et al., 2016): what
all tokens have in common is learned once.

A folder of such a policy is an ordinary one, whose `from_pretrained` is beta, with two files more:
guide.json and guide.safetensors.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from .folders import model_folder
from .models import decoder

SETTINGS, WEIGHTS = "guide.json", "guide.safetensors"
HEADS = 2
"""Of Q: the smaller of two estimates errs less towards what was never tried."""


class Guide(nn.Module):
    """V and the heads of Q on a language model's last hidden states.

    Attributes:
        strength: How much the values weigh against beta when decoding; see above.

    Args:
        width: Of the hidden states.
        vocabulary: How many tokens have a value.
        strength: Its first value.
    """

    offset: Tensor
    scale: Tensor

    def __init__(self, width: int, vocabulary: int, strength: float = 1.0):
        super().__init__()
        self.width, self.vocabulary, self.strength = width, vocabulary, strength
        self.value_head = _head(width, 1)
        self.action_value_heads = nn.ModuleList(_head(width, 1 + vocabulary) for _ in range(HEADS))
        with torch.no_grad():  # two heads that began alike would stay alike
            for head in self.action_value_heads:
                head[-1].weight.normal_(std=0.01)  # type: ignore[index]  # a Sequential
        self.register_buffer("offset", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))

    def values(self, hidden: Tensor) -> Tensor:
        """V [...] of hidden states [..., width]."""
        return self.offset + self.scale * self.value_head(hidden.float())[..., 0]

    def action_values(self, hidden: Tensor) -> Tensor:
        """Q_k [heads, ..., vocabulary] of hidden states [..., width]."""
        states = hidden.float()
        said = torch.stack([head(states) for head in self.action_value_heads])
        return self.offset + self.scale * (said[..., :1] + said[..., 1:])

    def shift(self, hidden: Tensor) -> Tensor:
        """What is added to the logits of these hidden states: [..., vocabulary]."""
        advantages = self.action_values(hidden).amin(0) - self.values(hidden)[..., None]
        return self.strength * advantages


def guide_for(model: PreTrainedModel, strength: float = 1.0) -> Guide:
    """New heads that fit a language model, where it is."""
    made = Guide(*_shape(model), strength)
    # heads are drawn on the CPU, so that every device begins with the same ones
    return made.to(model.device)


def save_guide(guide: Guide, folder: str | Path) -> None:
    """Write the heads beside the model's own files."""
    settings = {"strength": guide.strength, "width": guide.width, "vocabulary": guide.vocabulary}
    (Path(folder) / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    weights = {
        name: value.detach().cpu().contiguous() for name, value in guide.state_dict().items()
    }
    save_file(weights, Path(folder) / WEIGHTS)


def is_guided(path: str | Path) -> bool:
    """Whether value heads lie beside the model of a folder, a run's too; a hub id has none."""
    folder = Path(model_folder(str(path)))
    return (folder / SETTINGS).is_file() or (folder / WEIGHTS).is_file()


def load_guide(
    path: str | Path, model: PreTrainedModel, strength: float | None = None
) -> Guide | None:
    """The heads that lie beside a model; None where there are none, or with strength 0.

    Args:
        path: The model's folder, or the run's; a hub id has none.
        model: The model itself.
        strength: Over the one that was saved.

    Raises:
        ValueError: for files that are torn or of another model, and for a strength where there is
            nothing to weigh; in one line.
    """
    if not is_guided(path):
        if strength:
            raise ValueError(
                f"{path}: strength={strength} weighs value heads, expected {SETTINGS} beside the "
                "model, got none; leave strength out, or name a run of ilql or mc_returns"
            )
        return None
    if strength == 0:
        return None
    folder = Path(model_folder(str(path)))
    settings = _settings(folder / SETTINGS)
    width, vocabulary = _shape(model)
    if (settings["width"], settings["vocabulary"]) != (width, vocabulary):
        raise ValueError(
            f"{folder / SETTINGS}: expected heads for {width} numbers and {vocabulary} "
            f"tokens as the model has, got {settings['width']} and {settings['vocabulary']}; they "
            "belong to another model: copy the whole folder of a run"
        )
    with torch.random.fork_rng(devices=[]):  # what is drawn is overwritten
        guide = guide_for(model, float(settings["strength"] if strength is None else strength))
    file = folder / WEIGHTS
    try:
        guide.load_state_dict(load_file(file))
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ValueError(
            f"{file}: expected the weights of value heads, got otherwise ({reason}); copy the "
            "whole folder of a run, or decode without them: strength=0"
        ) from error
    return guide.to(model.device).eval()


def _settings(file: Path) -> dict[str, Any]:
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
        for name in ("strength", "width", "vocabulary"):
            if not isinstance(settings[name], int | float):
                raise TypeError(f"{name} is {settings[name]!r}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file}: expected numbers strength, width and vocabulary, got otherwise "
            f"({type(error).__name__}: {error}); copy the whole folder of a run, or decode without "
            "value heads: strength=0"
        ) from error
    return settings


def _shape(model: PreTrainedModel) -> tuple[int, int]:
    """Width of the hidden states and how many tokens have a logit."""
    output: Any = model.get_output_embeddings()
    return int(decoder(model).config.hidden_size), int(output.weight.shape[0])


class _Exact(nn.Linear):
    """A layer in float32 whatever precision its surroundings compute in.

    Values are large and their differences small: in bfloat16 -50 and -50.2 are the same.
    """

    def forward(self, input: Tensor) -> Tensor:
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input)


def _head(width: int, outputs: int) -> nn.Sequential:
    last = _Exact(width, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(_Exact(width, width), nn.GELU(), last)
