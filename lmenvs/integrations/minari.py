"""Minari datasets whose observations and actions are text, read and written (extra `minari`).

Minari keeps observations, actions, rewards and two flags of each step. What an Episode holds
besides (its instructions, its env string, the state of each turn, ...) is written into its infos,
so that what was written here is read back as it was. Of others' datasets the infos give `success`.
"""

import json
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Text

from ..registration import format_env_string
from ..types import Episode, from_json, to_json

_KEY = "lmenvs"


def read_minari(
    source: str | os.PathLike[str], env: str | None = None
) -> Iterator[tuple[str, Episode | ValueError]]:
    """(which episode, the episode or what is wrong with it), one at a time.

    Args:
        source: The id of a dataset on this machine (MINARI_DATASETS_PATH), or its folder; nothing
            is downloaded.
        env: The env string of the episodes; by default what the dataset says.

    Raises:
        ValueError: for a dataset that is not there, and for spaces that are not text.
    """
    dataset = _open(source)
    for name in ("observation", "action"):
        space = dataset.observation_space if name == "observation" else dataset.action_space
        if not isinstance(space, Text):
            raise ValueError(
                f"{source}, field {name}_space: expected text, got {space}; only datasets of text "
                "environments can be read"
            )
    if env is None and dataset.env_spec is not None:
        env = format_env_string(dataset.env_spec.id, dict(dataset.env_spec.kwargs))
    numbers = dataset.episode_indices
    for number in numbers.tolist():
        place = f"{source}, episode {number}"
        try:
            (about,) = dataset.storage.get_episode_metadata([number])
            (steps,) = dataset.storage.get_episodes([number])
            yield place, _episode(steps, about, env, f"{Path(source).name}:{number}", number)
        except ValueError as error:
            yield place, error


def write_minari(dataset_id: str, episodes: Sequence[Episode]) -> None:
    """Write episodes as a new dataset of this machine; Minari holds all of them in memory.

    Args:
        dataset_id: Such as "maze/expert-v0".
        episodes: At least one; episodes without a turn are left out.
    """
    minari = _minari()
    from minari.data_collector import EpisodeBuffer

    kept = [episode for episode in episodes if episode.turns]
    if not kept:
        raise ValueError("expected an episode with a turn, got none; collect episodes first")
    texts = [[turn.observation for turn in one.turns] + [one.final_observation] for one in kept]
    actions = [[turn.action.text for turn in one.turns] for one in kept]
    buffers = [
        EpisodeBuffer(
            seed=one.seed,
            observations=seen,
            actions=said,
            rewards=[turn.reward for turn in one.turns],
            terminations=[False] * (len(one.turns) - 1) + [one.terminated],
            truncations=[False] * (len(one.turns) - 1) + [one.truncated],
            infos={_KEY: _extras(one)},
        )
        for one, seen, said in zip(kept, texts, actions, strict=True)
    ]
    with warnings.catch_warnings():
        # it asks for an author, an address and the like, which nobody may know
        warnings.simplefilter("ignore", UserWarning)
        minari.create_dataset_from_buffers(
            dataset_id,
            buffers,
            observation_space=_space(texts),
            action_space=_space(actions),
            description="Episodes of lmenvs",
        )


def _space(texts: Sequence[Sequence[str]]) -> Text:
    flat = [text for group in texts for text in group]
    letters = sorted({letter for text in flat for letter in text})
    return Text(max(1, *map(len, flat)), min_length=0, charset="".join(letters) or " ")


def _minari() -> Any:
    import minari

    return minari


def _open(source: str | os.PathLike[str]) -> Any:
    minari = _minari()
    folder = Path(source)
    data = folder / "data" if (folder / "data").is_dir() else folder
    try:
        if data.is_dir():
            return minari.MinariDataset(data)
        return minari.load_dataset(os.fspath(source))
    except (FileNotFoundError, AssertionError) as error:
        raise ValueError(
            f"{source}: expected a Minari dataset on this machine (a folder, or an id under "
            f"MINARI_DATASETS_PATH), got none ({error}); get it with `minari download {source}`"
        ) from error


def _episode(
    steps: dict[str, Any], about: dict[str, Any], env: str | None, name: str, number: int
) -> Episode:
    """One episode from its arrays: observations one longer than the rest."""
    seen, said = list(steps["observations"]), list(steps["actions"])
    rewards = [float(reward) for reward in steps["rewards"]]
    ends = {flag: np.asarray(steps[flag], dtype=bool) for flag in ("terminations", "truncations")}
    lengths = {"rewards": len(rewards), **{flag: len(value) for flag, value in ends.items()}}
    lengths["observations"] = len(seen) - 1
    for field, length in lengths.items():
        if length != len(said):
            extra = " and one more" if field == "observations" else ""
            raise ValueError(f"field {field}: expected one for each of {len(said)} actions{extra}")
    if not said:
        raise ValueError("field actions: expected one at least, got none")
    if not np.isfinite(rewards).all():
        raise ValueError(f"field rewards: expected finite numbers, got {rewards}")
    if any(value[:-1].any() for value in ends.values()):
        raise ValueError("field terminations: expected an end on the last step only")
    infos = steps["infos"] or {}
    whole, parts = _kept(infos, len(said))
    turns = [
        {**part, "observation": text, "reward": reward}
        | {"action": {**part.get("action", {}), "text": action}}
        for part, text, reward, action in zip(parts, seen, rewards, said, strict=False)
    ]
    terminated = bool(ends["terminations"][-1])
    raw = {"id": name, "env": env, "seed": about.get("seed", number), "split": "all"}
    raw |= {"instructions": "", "success": bool(np.ravel(infos.get("success", False))[-1])}
    # where a recording just stops, it was cut
    raw |= {**whole, "turns": turns, "terminated": terminated, "truncated": not terminated}
    if raw["env"] is None:
        raise ValueError("field env_spec: expected an environment here or by --env, got neither")
    return from_json(json.dumps({**raw, "final_observation": seen[-1]}))


def _extras(episode: Episode) -> list[str]:
    """What Minari has no place for: of the episode, then of each turn, as JSON."""
    whole = json.loads(to_json(episode))
    turns = whole.pop("turns")
    for name in ("final_observation", "terminated", "truncated"):
        del whole[name]
    for turn in turns:
        del turn["observation"], turn["reward"], turn["action"]["text"]
    return [json.dumps(part) for part in (whole, *turns)]


def _kept(infos: dict[str, Any], turns: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The inverse of `_extras`; nothing where somebody else wrote the dataset."""
    if _KEY not in infos:
        return {}, [{} for _ in range(turns)]
    whole, *parts = (json.loads(text) for text in infos[_KEY])
    if len(parts) != turns:
        raise ValueError(f"field infos/{_KEY}: expected {turns + 1} texts, got {len(parts) + 1}")
    return whole, parts
