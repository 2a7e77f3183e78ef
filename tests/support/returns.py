"""What a small language model earns, exactly: every legal play of an environment without chance."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from agents.models import load_model
from algorithms.batch import make_batch
from algorithms.forward import policy_logprobs
from lmenvs.core import Snapshot, TextEnv
from lmenvs.registration import make
from lmenvs.types import Action, Episode, Turn


def expected_return(folder: Path, env: str) -> float:
    """The mean return over start states and legal actions, chosen as the model finds them likely.

    At every moment the model's chances are divided by their sum over the legal actions.
    """
    game = make(env).unwrapped
    assert isinstance(game, TextEnv)
    total = 0.0
    for weight, start in game.start_states():
        plays = [_episode(game.instructions, turns) for turns in _plays(game, start, ())]
        total += weight * _mean_return(folder, plays)
    return total


def _plays(game: TextEnv, here: Snapshot, turns: tuple[Turn, ...]) -> Iterator[tuple[Turn, ...]]:
    game.restore(here)
    for action in game.admissible_actions() or ():
        game.restore(here)
        _, reward, terminated, truncated, _ = game.step(action)
        longer = (*turns, Turn(here.observation, Action(action), float(reward)))
        if terminated or truncated:
            yield longer
        else:
            yield from _plays(game, game.snapshot(), longer)


def _episode(instructions: str, turns: tuple[Turn, ...]) -> Episode:
    return Episode("play", "e", 0, "all", instructions, turns, "", True, False, False)


def _mean_return(folder: Path, plays: list[Episode]) -> float:
    model, chat = load_model(folder)
    batch = make_batch(plays, chat)
    with torch.no_grad():
        logprobs, _ = policy_logprobs(model, batch)
    chances_ET = [
        [float(np.exp(tokens_L.sum())) for tokens_L in turns_TL]
        for turns_TL in batch.by_token(logprobs, len(plays))
    ]
    said_ET = [tuple(turn.action.text for turn in play.turns) for play in plays]
    after: dict[tuple[str, ...], dict[str, float]] = {}  # what was said -> what may follow
    for said_T, chances_T in zip(said_ET, chances_ET, strict=True):
        for turn, chance in enumerate(chances_T):
            after.setdefault(said_T[:turn], {})[said_T[turn]] = chance
    return sum(
        play.total_reward
        * float(
            np.prod(
                [
                    after[said_T[:turn]][said_T[turn]] / sum(after[said_T[:turn]].values())
                    for turn in range(len(said_T))
                ]
            )
        )
        for play, said_T in zip(plays, said_ET, strict=True)
    )
