"""A model from nothing (torch): tiny, with a tokenizer of the texts that it will read."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from agents import tiny
from agents.chat import Chat
from agents.models import load_model
from agents.utterance_critics import Reading
from lmenvs.registration import make
from lmenvs.types import Episode

from .datasets.file import EpisodeFile

READ_FOR_TOKENS = 512  # episodes that the tokenizer is made of
HIDDEN, LAYERS, HEADS, VOCABULARY = 96, 2, 4, 1536
SHORTEST_CONTEXT = 1024


def texts_of(episodes: Sequence[Episode]) -> Iterator[str]:
    """What a model reads and writes in episodes; actions as the plain chat format spells them."""
    for episode in episodes:
        yield episode.instructions
        yield episode.final_observation
        for turn in episode.turns:
            yield turn.observation
            yield " " + turn.action.text


def save_start(data: EpisodeFile, folder: Path, seed: int, memory: int | None) -> None:
    """Make a tiny model for a file of episodes and write its folder.

    The tokenizer is made of episodes drawn from `seed`, the window twice as long as the longest of
    the episodes with the most turns; `memory` is how many turns back the model reads.
    """
    chosen = np.random.default_rng((seed, 0)).choice(
        len(data), min(len(data), READ_FOR_TOKENS), replace=False
    )
    tokenizer = tiny.make_tokenizer(texts_of(data.read(np.sort(chosen))), VOCABULARY)
    chat = Chat(tokenizer)
    longest = data.read(np.argsort(-data.turns_E, kind="stable")[:8])
    length = max(_length(chat.encode_episode(episode)) for episode in longest)
    model = tiny.make_model(
        tokenizer,
        hidden=HIDDEN,
        layers=LAYERS,
        heads=HEADS,
        context=max(SHORTEST_CONTEXT, 2 * length),
        seed=seed,
    )
    Chat(tokenizer, memory=memory).save(model, folder)


def _length(episode: Episode) -> int:
    actions = [turn.action for turn in episode.turns]
    return sum(len(action.prompt_ids) + len(action.token_ids) for action in actions)


def memory_for(env: str) -> int | None:
    """How many turns back a model has to read: none where the last observation tells the state."""
    made = make(env)
    made.close()
    return 0 if made.observes_state else None


def reading_for(env: str) -> Reading:
    """How an utterance critic reads: as far back as the model that is made for an environment."""
    return Reading() if memory_for(env) is None else Reading("turn")


def starting_model(
    model: str | Path | None, env: str, data: EpisodeFile, out: Path, seed: int
) -> Path | str:
    """The model to begin with: the one named, or one made for the file in `out/start`.

    Where the last observation tells the whole state, one that is made reads no further back.
    """
    if model is not None:
        return model
    folder = out / "start"
    if not (folder / "config.json").exists():
        save_start(data, folder, seed, memory_for(env))
    load_model(folder)  # a torn folder is told here
    return folder
