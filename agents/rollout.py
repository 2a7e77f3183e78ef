# over 300 lines: the one loop under all rollouts stands below the two calls that users know
"""Rollouts: policies and environments take turns, each conversation at its own pace.

`collect` plays independent or grouped episodes, `evaluate` plays paired seeds and summarises them;
`branch` and `retry` stand in agents/branching.py. `play` is the one loop under all four. What an
episode holds depends on (seed, noise, attempt, turn) and the policy, never on width, order or
workers; a policy that streams (`StreamingPolicy`) is asked in an order that these alone decide.
"""

from collections.abc import Iterable, Sequence

from lmenvs.types import Action, Episode

from .evaluation import Crash, Report, summarise
from .faults import Faults
from .making import make_policy
from .playing import replay
from .protocols import Conversation, Metered, Policy, StreamingPolicy
from .slots import Slot
from .sources import EnvLike, EnvSource, open_source
from .starts import Limits, OnEpisode, Start, Worker, starts_of, version_suffix
from .workers import Environments, open_environments

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
    env_workers: int = 0,
    worker: Worker = "process",
    step_timeout: float | None = None,
    crashes: list[Crash] | None = None,
    allowed: int | None = None,
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
        env_workers: See `Limits`.
        worker: See `Limits`.
        step_timeout: See `Limits`.
        crashes: Where given, an exception in an environment is appended here, its episode is left
            out, and the rest go on.
        allowed: How many may break; None is half of them.

    Raises:
        RuntimeError: where `crashes` is given and more broke.
    """
    if group_size < 1:
        raise ValueError(f"group_size={group_size}; expected at least 1")
    source = open_source(env, split)
    policy = make_policy(policy) if isinstance(policy, str) else policy
    limits = Limits(
        width,
        max_turns,
        policy_seed,
        record,
        forget,
        on_episode,
        env_workers,
        worker,
        step_timeout,
    )
    suffix = version_suffix(policy.version, policy_seed)
    starts = list(starts_of(source.label, seeds, group_size=group_size, noise=noise, suffix=suffix))
    half = len(starts) // 2 if allowed is None else allowed
    played = play(source, policy, starts, limits, crashes, allowed=half)
    return [episode for episode in played if episode is not None]


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
    env_workers: int = 0,
    worker: Worker = "process",
    step_timeout: float | None = None,
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
        env_workers: See `Limits`.
        worker: See `Limits`.
        step_timeout: See `Limits`.
    """
    if episodes is not None and (seeds is not None or episodes < 1):
        got = "both" if seeds is not None else str(episodes)
        raise ValueError(f"expected episodes >= 1 or a list of seeds, got {got}; give one of them")
    numbers = range(seed, seed + (episodes or 64)) if seeds is None else seeds
    source = open_source(env, split, prefer="test")
    name = name or (policy if isinstance(policy, str) else type(policy).__name__)
    policy = make_policy(policy) if isinstance(policy, str) else policy
    limits = Limits(
        width, max_turns, policy_seed, record, True, on_episode, env_workers, worker, step_timeout
    )
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
    *,
    allowed: int | None = None,
) -> list[Episode | None]:
    """Play every start, `limits.width` at a time, a slot refilled as soon as its episode ends.

    Every conversation is answered as soon as the policy has its answer: nobody waits for the
    slowest. With `env_workers` the environments work while a streaming policy answers others: what
    they were sent to do between two calls of `advance` is waited for after the second.

    Returns the episodes in the order of the starts. Where `crashes` is given, an exception in an
    environment is recorded there and leaves None in the episode's place; with more than `allowed`
    of them the rollout is given up.
    """
    if len({start.id for start in starts}) < len(starts):
        raise ValueError("expected every episode once, got one twice; leave the repetition out")
    environments = open_environments(source, limits)
    faults = Faults(source.label, crashes, len(starts) if allowed is None else allowed)
    rollout = _Rollout(source, policy, starts, limits, environments, faults)
    try:
        return rollout.play()
    finally:
        try:
            rollout.forget_unfinished()
        finally:
            environments.close()


class _Rounds:
    """A policy that answers in rounds, behind the interface of one that streams."""

    def __init__(self, policy: Policy):
        self._policy = policy
        self._asked: list[Conversation] = []

    def submit(self, conversations: Sequence[Conversation]) -> None:
        """Take these up for the next round."""
        self._asked += conversations

    def advance(self) -> list[tuple[str, Action]]:
        """Answer all of them."""
        asked, self._asked = self._asked, []
        if not asked:
            return []
        actions = self._policy.act(asked)
        if len(actions) != len(asked):
            raise ValueError(
                f"{type(self._policy).__name__}.act: {len(actions)} actions for {len(asked)} "
                "conversations; expected one each"
            )
        return [(one.id, action) for one, action in zip(asked, actions, strict=True)]


class _Rollout:
    """The state of `play`: who is with the policy, who with the environments, who has ended."""

    def __init__(
        self,
        source: EnvSource,
        policy: Policy,
        starts: Sequence[Start],
        limits: Limits,
        environments: Environments,
        faults: Faults,
    ):
        self._source, self._policy, self._limits = source, policy, limits
        self._environments, self._faults = environments, faults
        streams = isinstance(policy, StreamingPolicy)
        self._speaker = policy if streams else _Rounds(policy)
        # who answers in rounds has nothing to do while environments work: all are waited for
        self._overlaps = streams and environments.parallel
        self._width = 1 if source.instance else limits.width
        self._waiting = enumerate(starts)
        self._alive: dict[str, Slot] = {}
        self._asked: dict[str, Slot] = {}  # those of them that the policy is to answer
        self._played: list[Episode | None] = [None] * len(starts)

    def play(self) -> list[Episode | None]:
        """Play until every start has been played."""
        moving: list[Slot] = []  # what their environments do is waited for after the next advance
        while True:
            begun = self._begin()
            while begun and not self._overlaps:
                self._listen(begun)
                begun = self._begin()  # in the place of those whose reset broke
            if not self._alive:
                return self._played
            sent = self._answer()
            if self._overlaps:
                self._listen(moving + begun)
                moving = sent
            else:
                self._listen(sent)

    def forget_unfinished(self) -> None:
        """After an exception: nothing of what was half-played is left with the policy."""
        if self._alive:
            self._policy.forget(list(self._alive))

    def _begin(self) -> list[Slot]:
        """Fill the free places; the slots whose environments now begin."""
        begun: list[Slot] = []
        while len(self._alive) < self._width:
            index, start = next(self._waiting, (None, None))
            if index is None or start is None:
                break
            if self._faults.quarantined(start):
                continue
            seat = self._environments.take()
            slot = Slot(index, start, self._source, seat, self._policy.version, self._limits)
            self._alive[start.id] = slot
            slot.begin()
            begun.append(slot)
        return begun

    def _answer(self) -> list[Slot]:
        """Let the policy go on; the slots whose environments now have its answers."""
        if not self._asked:
            return []
        sent: list[Slot] = []
        over: list[Slot] = []
        for name, action in self._speaker.advance():
            if name not in self._asked:
                raise ValueError(
                    f"{type(self._policy).__name__}.advance answers conversation {name}, which "
                    "this rollout did not submit; expected a policy that nobody else is asking"
                )
            slot = self._asked.pop(name)
            if action.finish == "context":
                slot.end(terminated=False, success=False)
                over.append(slot)
            else:
                slot.say(action)
                sent.append(slot)
        self._finish(over)
        return sent

    def _listen(self, slots: Sequence[Slot]) -> None:
        """Wait for these environments; go on with what is not over."""
        for slot in slots:
            with self._faults.watch(slot):
                slot.listen()
        self._finish([slot for slot in slots if slot.episode is not None or slot.crashed])
        going = [slot for slot in slots if slot.start.id in self._alive]
        if going:
            self._asked |= {slot.start.id: slot for slot in going}
            self._speaker.submit([slot.conversation() for slot in going])

    def _finish(self, over: Sequence[Slot]) -> None:
        """Write these episodes down and free their places."""
        for slot in over:
            del self._alive[slot.start.id]
        if over and self._limits.forget:
            self._policy.forget([slot.start.id for slot in over])
        for slot in over:
            self._played[slot.index] = slot.episode
            if slot.episode is None:
                self._environments.drop(slot.seat)
                continue
            self._environments.give_back(slot.seat)
            if self._limits.on_episode is not None:
                self._limits.on_episode(slot.episode)
