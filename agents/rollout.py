"""Rollouts: the only place outside `lmenvs` where an environment is stepped.

`collect` plays independent or grouped episodes, `evaluate` plays paired seeds and summarises them;
`branch` and `retry` stand in agents/branching.py. `play` is the one loop under all four. What an
episode holds depends on (seed, noise, attempt, turn) and the policy, never on width or order.
"""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from lmenvs.core import Snapshot, TextEnv
from lmenvs.types import Episode

from .evaluation import Crash, Report, summarise
from .making import make_policy
from .protocols import Metered, Policy
from .slots import Environments, Slot
from .sources import EnvLike, EnvSource, open_source
from .starts import Limits, OnEpisode, Start, starts_of, version_suffix

__all__ = ["Crash", "Limits", "Report", "Start", "collect", "evaluate", "play", "replay"]


def collect(
    env: EnvLike,
    policy: Policy | str,
    seeds: Iterable[int],
    *,
    group_size: int = 1,
    noise: int = 0,
    split: str | None = None,
    width: int = 64,
    max_turns: int | None = None,
    policy_seed: int = 0,
    record: bool = True,
    forget: bool = True,
    on_episode: OnEpisode | None = None,
) -> list[Episode]:
    """Play one episode for each seed and group member, in the order (seed, member).

    An action that a policy ends with "context" (its window is full) is not played: the episode is
    truncated before it. An exception in an environment carries a note that says where it happened.

    Args:
        env: An env string, a function that makes a new environment, or one environment; with an
            instance one episode is played at a time.
        policy: A policy, or the spec of one.
        seeds: Equal seeds are the same hidden task. A seed that stands here again adds members to
            its group: `[3, 3]` is `[3]` with `group_size=2`.
        group_size: Members that play each seed, member j with chance drawn from `noise + j`.
        noise: The first member's draw of the chance within the task.
        split: "train", "test" or "all", where the environment has them; over what the string says.
        width: This and the rest: see `agents.starts.Limits`.
        max_turns: See `Limits`.
        policy_seed: See `Limits`.
        record: See `Limits`.
        forget: See `Limits`.
        on_episode: See `Limits`.
    """
    if group_size < 1:
        raise ValueError(f"group_size={group_size}; expected at least 1")
    source = open_source(env, split)
    policy = make_policy(policy) if isinstance(policy, str) else policy
    limits = Limits(width, max_turns, policy_seed, record, forget, on_episode)
    suffix = version_suffix(policy.version, policy_seed)
    starts = starts_of(source.label, seeds, group_size=group_size, noise=noise, suffix=suffix)
    return [
        episode for episode in play(source, policy, list(starts), limits) if episode is not None
    ]


def evaluate(
    env: EnvLike,
    policy: Policy | str,
    *,
    episodes: int | None = None,
    seeds: Sequence[int] | None = None,
    seed: int = 0,
    split: str | None = None,
    name: str | None = None,
    width: int = 64,
    max_turns: int | None = None,
    policy_seed: int = 0,
    record: bool = True,
    on_episode: OnEpisode | None = None,
) -> Report:
    """Play seeds `seed, seed + 1, ...` and summarise: every policy meets the same tasks, in pairs.

    An exception in the environment is recorded as a crash of that seed and scores for nobody; if
    every seed crashes, the first exception is raised, and a missing package is raised at once.

    Args:
        env: See `collect`.
        policy: See `collect`.
        episodes: How many seeds; 64 unless `seeds` says which.
        seeds: The seeds themselves, instead of `episodes` and `seed`.
        seed: The first seed.
        split: Where the environment has splits and its string names none, "test".
        name: What the report calls the policy; by default its spec, or its class.
        width: This and the rest: see `agents.starts.Limits`.
        max_turns: See `Limits`.
        policy_seed: See `Limits`.
        record: See `Limits`.
        on_episode: See `Limits`.
    """
    if episodes is not None and (seeds is not None or episodes < 1):
        got = "both" if seeds is not None else str(episodes)
        raise ValueError(f"expected episodes >= 1 or a list of seeds, got {got}; give one of them")
    numbers = range(seed, seed + (episodes or 64)) if seeds is None else seeds
    source = open_source(env, split, prefer="test")
    name = name or (policy if isinstance(policy, str) else type(policy).__name__)
    policy = make_policy(policy) if isinstance(policy, str) else policy
    limits = Limits(width, max_turns, policy_seed, record, True, on_episode)
    before = policy.usage if isinstance(policy, Metered) else None
    suffix = version_suffix(policy.version, policy_seed)
    crashes: list[Crash] = []
    played = play(
        source, policy, list(starts_of(source.label, numbers, suffix=suffix)), limits, crashes
    )
    usage = policy.usage - before if isinstance(policy, Metered) and before is not None else None
    scored = [episode for episode in played if episode is not None]
    return summarise(source.name, source.split, name, scored, crashes, usage)


def play(
    source: EnvSource,
    policy: Policy,
    starts: Sequence[Start],
    limits: Limits,
    crashes: list[Crash] | None = None,
) -> list[Episode | None]:
    """Play every start, `limits.width` at a time, a slot refilled as soon as its episode ends.

    Returns the episodes in the order of the starts. Where `crashes` is given, an exception in an
    environment is recorded there and leaves None in the episode's place.
    """
    if len({start.id for start in starts}) < len(starts):
        raise ValueError("expected every episode once, got one twice; leave the repetition out")
    played: list[Episode | None] = [None] * len(starts)
    waiting = iter(enumerate(starts))
    width = 1 if source.instance else limits.width
    alive: list[Slot] = []
    environments = Environments(source)
    try:
        while True:
            drawn = list(itertools.islice(waiting, width - len(alive)))
            for index, start in drawn:
                slot = Slot(index, start, source, environments.take(), policy.version, limits)
                with _guarded(slot, crashes):
                    slot.begin()
                    alive.append(slot)
                if slot.crashed:
                    environments.drop(slot.env)
            if alive:
                over = _turn(alive, policy, crashes)
                alive = [slot for slot in alive if slot not in over]
                if limits.forget:
                    policy.forget([slot.start.id for slot in over])
            elif not drawn:
                return played
            else:
                continue  # every reset of this round crashed
            for slot in over:
                played[slot.index] = slot.episode
                if slot.episode is None:
                    environments.drop(slot.env)
                    continue
                environments.give_back(slot.env)
                if limits.on_episode is not None:
                    limits.on_episode(slot.episode)
    finally:
        if limits.forget and alive:  # an exception left them half-played
            policy.forget([slot.start.id for slot in alive])
        environments.close()


def _turn(alive: Sequence[Slot], policy: Policy, crashes: list[Crash] | None) -> list[Slot]:
    """Play one turn in every slot; the slots whose episodes are over, crashed ones too."""
    actions = policy.act([slot.conversation() for slot in alive])
    if len(actions) != len(alive):
        raise ValueError(
            f"{type(policy).__name__}.act: {len(actions)} actions for {len(alive)} conversations; "
            "expected one each"
        )
    for slot, action in zip(alive, actions, strict=True):
        with _guarded(slot, crashes):
            if action.finish == "context":
                slot.end(terminated=False, success=False)
            else:
                before = slot.privileged()
                slot.receive(action, before, slot.env.step(action.text))
    return [slot for slot in alive if slot.episode is not None or slot.crashed]


@contextlib.contextmanager
def _guarded(slot: Slot, crashes: list[Crash] | None) -> Iterator[None]:
    """Record an environment's exception as a crash, or let it pass with a note of where it was."""
    try:
        yield
    except ImportError:  # the user's to mend, and the same for every seed
        raise
    except Exception as error:
        name, start, turn = slot.source.label, slot.start, len(slot.turns)
        if crashes is None:
            error.add_note(f"in {name}, seed {start.seed}, noise {start.noise}, turn {turn}")
            raise
        slot.crashed = True  # its environment is not used again
        line = f"{type(error).__name__}: {error}"
        crashes.append(Crash(name, start.seed, start.noise, turn, line, error))


def replay(
    source: EnvSource, episode: Episode, turns: Iterable[int], forks: Mapping[int, int], noise: int
) -> dict[int, Snapshot]:
    """Play an episode's actions again and save the state before each of the chosen turns.

    Args:
        source: Where to take an environment from.
        episode: What was played.
        turns: Before which turns to save; `len(episode.turns)` is the state after the last.
        forks: turn -> noise, where the chance was drawn anew on the way.
        noise: The draw of chance at the reset.

    Raises:
        ValueError: where the environment answers otherwise than the episode says.
    """
    wanted = set(turns)
    env = source.make()
    game = env.unwrapped
    assert isinstance(game, TextEnv)
    saved: dict[int, Snapshot] = {}
    try:
        observation, _ = env.reset(seed=episode.seed, options={"noise": noise})
        for index in range(max(wanted, default=-1) + 1):
            if index in forks:
                game.restore(game.snapshot(), noise=forks[index])
            if index in wanted:
                saved[index] = game.snapshot()
            if index == len(episode.turns):
                _same(episode, index, (observation,), (episode.final_observation,))
                break
            turn = episode.turns[index]
            _same(episode, index, (observation,), (turn.observation,))
            observation, reward, *_ = env.step(turn.action.text)
            _same(episode, index, (float(reward),), (turn.reward,))
    finally:
        if not source.instance:
            env.close()
    return saved


def _same(
    episode: Episode, turn: int, got: tuple[object, ...], expected: tuple[object, ...]
) -> None:
    if got != expected:
        raise ValueError(
            f"episode {episode.id} does not replay: turn {turn} gives {got[0]!r}, but it says "
            f"{expected[0]!r}; use the environment and the version that it was played with"
        )
