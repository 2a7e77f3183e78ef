"""Critics fitted cell by cell, and kept in a file as they come: a cell there is not run again."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from agents import make_policy, tiny
from agents.chat import Chat
from agents.rollout import collect
from lmenvs.types import Episode

from ... import behaviour_cloning, provenance
from ...batch import make_batch
from ...checkpoints import write_whole
from ..kept import differing
from .cells import Cell, Setting
from .fit import fit
from .inputs import Played, known
from .truth import FullView, Houses, Truth

HELD_OUT = 64  # episodes that a critic is measured on
CONTEXT = 8192
EPOCHS = 2  # of cloning, with the observations at a tenth


@lru_cache(maxsize=4)
def truth_of(env: str, player: str, noise: float, discount: float) -> Truth:
    """The exact values of a player."""
    return (FullView if player == "full view" else Houses)(env, noise, discount)


@lru_cache(maxsize=4)
def episodes_of(env: str, player: str, noise: float, count: int, seed: int) -> list[Episode]:
    """What a player does in so many tasks."""
    spec = f"expert?noise={noise}" if noise < 1 else "random"
    if player == "houses":
        env, spec = f"{env}&relabel=true", f"script:never-go-back?noise={noise}"
    tasks = np.random.default_rng((seed, 0)).choice(2**31, count, replace=False).tolist()
    return collect(env, make_policy(spec), tasks, policy_seed=seed)


def run_cell(setting: Setting, seed: int, held_out: int = HELD_OUT) -> dict[str, Any]:
    """Fit one critic to so many episodes and measure it on others."""
    who = setting.env, setting.player, setting.noise
    episodes = episodes_of(*who, setting.episodes + held_out, seed)
    tokenizer = tiny.make_tokenizer(texts(episodes[: setting.episodes]))
    chat = Chat(tokenizer, CONTEXT)
    played = known(episodes, truth_of(*who, setting.discount), chat)
    model = start(setting, tokenizer, chat, played[: setting.episodes], seed)
    apart = played[setting.episodes :]
    return fit(
        model,
        chat,
        played[: setting.episodes],
        apart,
        setting.recipe,
        setting.discount,
        seed,
    )


def texts(episodes: Sequence[Episode]) -> list[str]:
    """What the tokenizer is made for."""
    found = [episode.instructions for episode in episodes]
    for episode in episodes:
        found += [turn.observation for turn in episode.turns]
        found += [" " + turn.action.text for turn in episode.turns]
    return found


def start(
    setting: Setting,
    tokenizer: PreTrainedTokenizerFast,
    chat: Chat,
    played: Sequence[Played],
    seed: int,
) -> PreTrainedModel:
    """The model whose decoder the critic begins with."""
    model = tiny.make_model(
        tokenizer, hidden=setting.hidden, layers=setting.layers, context=CONTEXT, seed=seed
    )
    if setting.trunk == "random":
        return model
    from torch.optim import AdamW

    config = behaviour_cloning.Config(seed=seed, batch_size=8, observation_weight=0.1)
    optimizer = AdamW(model.parameters(), lr=config.learning_rate, weight_decay=0.0)
    batch = make_batch([one.episode for one in played], chat)
    for epoch in range(EPOCHS):
        order = np.random.default_rng((seed, 1 + epoch)).permutation(len(batch))
        for rows in np.array_split(order, max(1, len(batch) // config.batch_size)):
            behaviour_cloning.update(model, optimizer, batch.rows(rows), config)
    return model


def measure(
    file: Path | None,
    cells: Sequence[Cell],
    command: str,
    advance: Callable[[int], None] = lambda count: None,
) -> dict[str, Any]:
    """Run the cells that the file does not hold, and write it after each; returns all it holds.

    Raises:
        ValueError: if the file holds one of these cells with another setting.
    """
    found = _so_far(file)
    for cell in cells:
        setting = asdict(cell.setting)
        before = found.get(cell.name)
        if before is not None and (other := differing(before["setting"], setting)):
            raise ValueError(
                f"{file}: expected {cell.name!r} with today's setting, got another "
                f"{', '.join(other)}; move it away, or name another --out"
            )
        if before is None:
            result = run_cell(cell.setting, cell.seed)
            found[cell.name] = {**result, "setting": setting, "commit": provenance.commit()}
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                write_whole(file, _written(found, command))
        advance(1)
    return found


def _so_far(file: Path | None) -> dict[str, Any]:
    if file is None or not file.exists():
        return {}
    try:
        return dict(json.loads(file.read_text(encoding="utf-8"))["cells"])
    except (ValueError, TypeError, KeyError):
        raise ValueError(
            f"{file}: expected cells of `lmenvs bench critic`, got something else; move it away"
        ) from None


def _written(cells: Mapping[str, Any], command: str) -> str:
    """JSON with one line for each cell, so that a difference shows what was run anew."""
    about = {
        "command": command,
        "machine": provenance.machine(),
        "versions": provenance.versions(),
        "seeds": sorted({int(name.rpartition(" / ")[2]) for name in cells}),
    }
    head = json.dumps(about, indent=1).removesuffix("\n}")
    lines = ",\n".join(
        f"  {json.dumps(name)}: {json.dumps(_rounded(cell))}" for name, cell in cells.items()
    )
    return f'{head},\n "cells": {{\n{lines}\n }}\n}}\n'


def _rounded(value: Any) -> Any:
    """Numbers to four digits: the rest is noise."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {name: _rounded(part) for name, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list | tuple) else value
