"""Datasets by play: policies play training tasks, episodes go to a file as they end.

The tasks are those that `behaviour_cloning` would play with the same seed and policy. What stands
in the file depends on the seed and the policies, not on how many episodes are played at once.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from agents import make_policy
from agents.protocols import Policy
from agents.rollout import Limits, play
from agents.secrets import masked, masked_data
from agents.sources import EnvSource, open_source
from agents.starts import starts_of, version_suffix
from lmenvs.types import Episode

from .. import support
from ..locks import lock_folder
from ..provenance import commit, versions
from ..runs import Run, open_run, read_config
from .card import Card, Made, Part, measure, write_card

EPISODES, CHUNK = "episodes.jsonl", 1024  # episodes between two writes to the file


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is played; equal recipes make equal files.

    Attributes:
        env: The env string.
        policies: (spec, share of the episodes), one after the other; shares are made to sum to 1.
        episodes: How many.
        seed: Seeds the tasks and the policies' sampling.
        split: "train", "test" or "all"; None is "train" where the environment has splits.
        max_turns: Truncate after so many turns.
        per_task: Episodes of each task, one behind the other, each with chance of its own.
    """

    env: str
    policies: tuple[tuple[str, float], ...]
    episodes: int
    seed: int = 0
    split: str | None = None
    max_turns: int | None = None
    per_task: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        if self.per_task < 1:
            raise ValueError(f"per_task {self.per_task}; expected at least 1")
        if self.episodes < len(self.policies) or self.episodes < 1:
            raise ValueError(
                f"episodes {self.episodes}; expected at least one for each of "
                f"{len(self.policies)} policies"
            )
        if self.seed < 0:
            raise ValueError(f"seed {self.seed}; expected an integer >= 0")
        if not self.policies or min(share for _, share in self.policies) <= 0:
            raise ValueError(f"policies {self.policies}; expected one or more, shares above 0")


def parse_mix(text: str) -> tuple[tuple[str, float], ...]:
    """Policies with their shares.

    >>> parse_mix("random:0.5,expert?noise=0.2:1.5")
    (('random', 0.5), ('expert?noise=0.2', 1.5))
    """
    found = re.findall(r"([^,].*?):(\d+(?:\.\d+)?|\.\d+)(?:,|$)", text)
    if not found or ",".join(f"{spec}:{share}" for spec, share in found) != text:
        raise ValueError(f"mix {text!r}; expected POLICY:SHARE,... such as random:1,expert:3")
    return tuple((spec, float(share)) for spec, share in found)


def parts_of(recipe: Recipe) -> list[Part]:
    """Which policy plays which episodes: runs of them, as long as the shares say.

    >>> parts_of(Recipe("lmenvs/Maze-v0", (("random", 1.0), ("expert", 2.0)), 10))
    [Part(policy='random', first=0, last=3), Part(policy='expert', first=3, last=10)]
    """
    shares = np.cumsum([share for _, share in recipe.policies])
    ends = np.round(recipe.episodes * shares / shares[-1]).astype(int).tolist()
    return [
        Part(masked(spec), first, last)
        for (spec, _), first, last in zip(recipe.policies, [0, *ends], ends, strict=False)
    ]


def make_dataset(
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = False,
    width: int = 64,
    env_workers: int = 0,
    step_timeout: float | None = None,
    chunk: int = CHUNK,
) -> Card:
    """Play, write `episodes.jsonl` and the data card into a folder; returns the card.

    Args:
        recipe: What is played.
        out: The folder; a new one, or with `resume` one in which the same recipe was interrupted.
        resume: Go on behind the episodes that the file holds.
        width: See `agents.starts.Limits`, as the next two.
        env_workers: See there.
        step_timeout: See there.
        chunk: Episodes between two writes to the file.

    Raises:
        ValueError: for a folder that holds anything else, or another recipe's episodes.
        support.Interrupted: after Ctrl-C, once the chunk is written.
    """
    source = open_source(recipe.env, recipe.split, prefer="train")
    policies = [make_policy(spec) for spec, _ in recipe.policies]  # a mistake is told at once
    config = {"command": "dataset make", **asdict(recipe), "split": source.split}
    run, done = _open(out, config, resume)
    with (
        support.interruptible() as stop,
        support.progress("dataset", recipe.episodes) as advance,
    ):
        advance(done)
        limits = Limits(
            width=width,
            max_turns=recipe.max_turns,
            policy_seed=recipe.seed,
            on_episode=lambda _: advance(1),
            env_workers=env_workers,
            step_timeout=step_timeout,
        )
        for played in _chunks(recipe, source, policies, limits, done, chunk):
            run.episodes(played)
            if stop.requested:
                break
    settings = masked_data({name: one for name, one in config.items() if name != "policies"})
    made = Made("played", settings, parts_of(recipe), versions(), commit())
    card = measure(out / EPISODES, made)
    write_card(card, out)
    return card


def _open(out: Path, config: Mapping[str, object], resume: bool) -> tuple[Run, int]:
    """The folder, and how many episodes its file holds."""
    if not resume or not (out / "config.json").is_file():
        return open_run(out, config), 0
    before = read_config(out)["config"]
    now = masked_data(json.loads(json.dumps(config)))
    if before != now:
        names = sorted(n for n in {*before, *now} if before.get(n) != now.get(n))
        differences = ", ".join(f"{n}: {before.get(n)!r} -> {now.get(n)!r}" for n in names)
        raise ValueError(
            f"--resume {out}: expected the options the dataset began with, got {differences}; "
            "resume with the same options or choose another --out"
        )
    run = Run(out, 0.0, lock=lock_folder(out))
    return run, _whole_lines(out / EPISODES)


def _whole_lines(file: Path) -> int:
    """How many lines a file has, after cutting a torn one off its end."""
    if not file.is_file():
        return 0
    count = size = 0
    with file.open("r+b") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                count, size = count + 1, size + len(line)
        lines.truncate(size)
    return count


def _chunks(
    recipe: Recipe,
    source: EnvSource,
    policies: Sequence[Policy],
    limits: Limits,
    done: int,
    chunk: int,
) -> Iterator[list[Episode]]:
    """Play what is left, some episodes at a time, in the order of the file."""
    tasks = -(-recipe.episodes // recipe.per_task)
    drawn = np.random.default_rng((recipe.seed, 0)).integers(2**31, size=tasks)
    seeds = np.repeat(drawn, recipe.per_task)[: recipe.episodes]
    again = _times_before(seeds)
    for policy, part in zip(policies, parts_of(recipe), strict=True):
        suffix = version_suffix(policy.version, recipe.seed)
        for begin in range(max(done, part.first), part.last, chunk):
            starts = [
                start
                for index in range(begin, min(begin + chunk, part.last))
                for start in starts_of(
                    source.label, [int(seeds[index])], noise=int(again[index]), suffix=suffix
                )
            ]
            yield [episode for episode in play(source, policy, starts, limits) if episode]


def _times_before(seeds_E: np.ndarray) -> np.ndarray:
    """How often each seed came before: the draw of chance that its episode sees.

    >>> _times_before(np.array([4, 7, 4, 4])).tolist()
    [0, 0, 1, 2]
    """
    order = np.argsort(seeds_E, kind="stable")
    ranked = seeds_E[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    counts = np.diff(np.r_[starts, len(ranked)])
    times = np.empty(len(seeds_E), np.int64)
    times[order] = np.arange(len(ranked)) - np.repeat(starts, counts)
    return times
