"""Rollouts that begin where another episode went: branches (k ways to go on) and retries."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from lmenvs.core import Snapshot
from lmenvs.types import Episode

from .faults import Faults
from .making import make_policy
from .playing import CannotReplay, replay
from .protocols import Policy
from .rollout import Crash, play
from .sources import EnvLike, EnvSource, open_source
from .starts import Limits, OnEpisode, Start, Worker, version_suffix

__all__ = ["branch", "retry"]

Saved = Mapping[int, Snapshot]  # by turn the state before it


def branch(
    env: EnvLike,
    policy: Policy | str,
    episodes: Episode | Sequence[Episode],
    turns: Sequence[int] | Callable[[Episode], Iterable[int]],
    k: int = 1,
    *,
    first: int = 0,
    ancestors: Iterable[Episode] = (),
    width: int = 64,
    max_turns: int | None = None,
    policy_seed: int = 0,
    record: bool = True,
    forget: bool = True,
    on_episode: OnEpisode | None = None,
    env_workers: int = 0,
    worker: Worker = "process",
    step_timeout: float | None = None,
    crashes: list[Crash] | None = None,
    allowed: int | None = None,
) -> list[Episode]:
    """Play k continuations from chosen turns, in the order (episode, turn, continuation).

    The episode's actions are played again up to each turn, the state is saved, and every
    continuation restores it and draws chance of its own. A continuation is a whole episode: its
    first turns are its parent's, `parent` says how many, and those of one turn share a `group`.

    Args:
        env: See `rollout.collect`.
        policy: See `rollout.collect`.
        episodes: What to branch from; each must replay in `env`.
        turns: Before which turns: numbers, or a function that gives them for an episode. After the
            last turn only a truncated episode can go on.
        k: Continuations for each turn.
        first: The number of the first continuation; other numbers draw other chance.
        ancestors: For an episode that is a branch itself, the episodes that it descends from.
        width: This and the rest: see `agents.starts.Limits`; `max_turns` counts shared turns too.
        max_turns: See `Limits`.
        policy_seed: See `Limits`.
        record: See `Limits`.
        forget: See `Limits`.
        on_episode: See `Limits`.
        env_workers: See `Limits`; replaying is done in this process.
        worker: See `Limits`.
        step_timeout: See `Limits`.
        crashes: As in `rollout.collect`. An episode that breaks while it is played again is a
            crash too, and gives no continuation.
        allowed: How many may break; None is half of them.

    Raises:
        RuntimeError: where `crashes` is given and more broke.
    """
    if k < 1:
        raise ValueError(f"k={k} continuations; expected at least 1")
    limits = Limits(
        width, max_turns, policy_seed, record, forget, on_episode, env_workers, worker, step_timeout
    )
    policy = make_policy(policy) if isinstance(policy, str) else policy
    suffix = version_suffix(policy.version, policy_seed)
    known = {episode.id: episode for episode in ancestors}

    def chosen(episode: Episode) -> list[int]:
        return list(turns(episode) if callable(turns) else turns)

    def starts_from(episode: Episode, at: Sequence[int], saved: Saved) -> list[Start]:
        return [
            Start(
                id=f"{episode.id}/{turn}.{number}{suffix}",
                seed=episode.seed,
                noise=_fresh_noise(episode, turn, f"branch {number}"),
                group=f"{episode.id}/{turn}",
                snapshot=saved[turn],
                earlier=episode.turns[:turn],
                instructions=episode.instructions,
                parent=(episode.id, turn),
                attempt=episode.attempt,
            )
            for turn in at
            for number in range(first, first + k)
        ]

    return _continue(env, policy, episodes, chosen, known, starts_from, limits, crashes, allowed)


def retry(
    env: EnvLike,
    policy: Policy | str,
    episodes: Episode | Sequence[Episode],
    *,
    reflect: Callable[[Episode], str] | None = None,
    turn: int = 0,
    ancestors: Iterable[Episode] = (),
    width: int = 64,
    max_turns: int | None = None,
    policy_seed: int = 0,
    record: bool = True,
    forget: bool = True,
    on_episode: OnEpisode | None = None,
    env_workers: int = 0,
    worker: Worker = "process",
    step_timeout: float | None = None,
) -> list[Episode]:
    """Try each episode's task once more, from the start or from a turn, `attempt` counted up.

    Args:
        env: See `rollout.collect`.
        policy: See `rollout.collect`.
        episodes: The tries so far.
        reflect: Gives what the player should know this time; it stands behind the instructions,
            and `Episode.instructions` holds both.
        turn: Where to begin: 0 is the start.
        ancestors: See `branch`.
        width: This and the rest: see `agents.starts.Limits`.
        max_turns: See `Limits`.
        policy_seed: See `Limits`.
        record: See `Limits`.
        forget: See `Limits`.
        on_episode: See `Limits`.
        env_workers: See `Limits`; replaying is done in this process.
        worker: See `Limits`.
        step_timeout: See `Limits`.
    """
    limits = Limits(
        width, max_turns, policy_seed, record, forget, on_episode, env_workers, worker, step_timeout
    )
    policy = make_policy(policy) if isinstance(policy, str) else policy
    suffix = version_suffix(policy.version, policy_seed)
    known = {episode.id: episode for episode in ancestors}

    def starts_from(episode: Episode, at: Sequence[int], saved: Saved) -> list[Start]:
        attempt = episode.attempt + 1
        lesson = reflect(episode) if reflect is not None else ""
        told = f"{episode.instructions}\n\n{lesson}" if lesson else episode.instructions
        return [
            Start(
                id=f"{episode.id}/{turn}+{attempt}{suffix}",
                seed=episode.seed,
                noise=_fresh_noise(episode, turn, f"attempt {attempt}"),
                group=episode.group or episode.id,
                snapshot=saved[turn],
                earlier=episode.turns[:turn],
                instructions=told,
                parent=(episode.id, turn),
                attempt=attempt,
                shares_prompt=not lesson,
            )
        ]

    return _continue(env, policy, episodes, lambda _: [turn], known, starts_from, limits)


def _continue(
    env: EnvLike,
    policy: Policy,
    episodes: Episode | Sequence[Episode],
    chosen: Callable[[Episode], Sequence[int]],
    known: Mapping[str, Episode],
    starts_from: Callable[[Episode, Sequence[int], Saved], list[Start]],
    limits: Limits,
    crashes: list[Crash] | None = None,
    allowed: int | None = None,
) -> list[Episode]:
    given = [episodes] if isinstance(episodes, Episode) else list(episodes)
    splits = {episode.split for episode in given}
    if len(splits) > 1:
        raise ValueError(
            f"expected episodes of one split, got {', '.join(sorted(splits))}; make a call for each"
        )
    source = open_source(env)
    if splits and source.split not in splits:
        source = open_source(env, splits.pop())
    half = len(given) // 2 if allowed is None else allowed
    faults, starts = Faults(source.label, crashes, half), list[Start]()
    for episode in given:
        at, saved = chosen(episode), None
        if at:
            with faults.replaying(episode):
                saved = _replayed(source, episode, at, known)
        if saved is not None:
            starts += starts_from(episode, at, saved)
    half = len(starts) // 2 if allowed is None else allowed
    played = play(source, policy, starts, limits, crashes, allowed=half)
    return [episode for episode in played if episode is not None]


def _replayed(
    source: EnvSource, episode: Episode, turns: Sequence[int], known: Mapping[str, Episode]
) -> dict[int, Snapshot]:
    """The saved states before these turns of an episode, which may be a branch itself."""
    last = len(episode.turns) - (0 if episode.truncated else 1)
    beyond = [turn for turn in turns if not 0 <= turn <= last]
    if beyond:
        raise CannotReplay(
            f"episode {episode.id}: turn {beyond[0]} to go on from; expected 0 to {last}"
        )
    forks: dict[int, int] = {}
    young, earliest = episode, len(episode.turns) + 1
    while young.parent is not None:
        name, turn = young.parent
        if turn < earliest:  # an ancestor's fork at a later turn lies on a way not taken
            forks[turn], earliest = young.noise, turn
        if name not in known:
            raise CannotReplay(
                f"episode {episode.id} goes back to {name}, whose chance it needs to replay; "
                "pass that episode in ancestors="
            )
        young = known[name]
    return replay(source, episode, turns, forks, young.noise)


def _fresh_noise(episode: Episode, turn: int, what: str) -> int:
    """A number for chance that no sibling, group member or branch at another turn shares."""
    digest = hashlib.blake2b(f"{episode.id}\n{turn}\n{what}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1
