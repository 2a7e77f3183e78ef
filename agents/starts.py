"""What is to be played and how: Start (one episode's beginning) and Limits, as plain data."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from lmenvs.core import Snapshot
from lmenvs.types import Episode, Turn

OnEpisode = Callable[[Episode], None]
Worker = Literal["process", "thread"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How episodes are played, whichever shape the rollout has.

    Attributes:
        width: Episodes alive at once; the policy answers all of them in one call.
        max_turns: Truncate after so many turns, unless the task ends on that very turn.
        policy_seed: Seeds the policy's sampling; the tasks stay the same.
        record: Record the privileged `progress` and `state_key` of every turn.
        forget: Tell the policy to drop its caches as episodes end. Without it branches can continue
            from them, and `policy.forget` is the caller's duty.
        on_episode: Called with each episode when it ends, in the order in which they end.
        env_workers: How many processes or threads step the environments, while the policy answers
            other conversations; 0 steps them in line, which is faster unless they are slow.
        worker: What these are. Environments live in their process: it survives none of their
            crashes, but is replaced, and the other environments in it are played again to where
            they were. In threads they gain where they wait or leave Python.
        step_timeout: The seconds that a process may take for a reset or a step. One that takes
            longer is killed, and its seed is not played again in the rollout.
    """

    width: int = 64
    max_turns: int | None = None
    policy_seed: int = 0
    record: bool = True
    forget: bool = True
    on_episode: OnEpisode | None = None
    env_workers: int = 0
    worker: Worker = "process"
    step_timeout: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be played."""
        if self.width < 1:
            raise ValueError(f"width={self.width}; expected at least 1 episode at a time")
        if self.max_turns is not None and self.max_turns < 1:
            raise ValueError(
                f"max_turns={self.max_turns}; expected at least 1, or None for no limit"
            )
        if self.env_workers < 0:
            raise ValueError(
                f"env_workers={self.env_workers}; expected at least 1, or 0 to step in line"
            )
        if self.worker not in ("process", "thread"):
            raise ValueError(f"worker={self.worker!r}; expected 'process' or 'thread'")
        if self.step_timeout is not None:
            if not self.step_timeout > 0:
                raise ValueError(
                    f"step_timeout={self.step_timeout}; expected seconds > 0, or None for no limit"
                )
            if not self.env_workers or self.worker != "process":
                raise ValueError(
                    f"step_timeout={self.step_timeout} needs environments in processes, which can "
                    "be killed; give env_workers=1 or more, worker='process'"
                )


@dataclass(frozen=True, slots=True)
class Start:
    """Where one episode begins: at a reset, or at a snapshot that an earlier episode has reached.

    Attributes:
        id: The id of the episode to be, and of its conversation.
        earlier: The turns before the snapshot.
        instructions: What the player is told instead of the environment's own, if anything.
        shares_prompt: The conversation begins with the same words as its parent's.
    """

    id: str
    seed: int
    noise: int
    group: str
    snapshot: Snapshot | None = None
    earlier: tuple[Turn, ...] = ()
    instructions: str | None = None
    parent: tuple[str, int] | None = None
    attempt: int = 0
    shares_prompt: bool = True


def version_suffix(version: int, policy_seed: int) -> str:
    """What tells ids apart of episodes that one task gave under other weights or other sampling."""
    return (f"@{version}" if version else "") + (f"s{policy_seed}" if policy_seed else "")


def starts_of(
    label: str, seeds: Iterable[int], *, group_size: int = 1, noise: int = 0, suffix: str = ""
) -> Iterator[Start]:
    """The starts for seeds and group members; a seed that comes again continues its group."""
    members: dict[int, int] = {}
    for seed in map(int, seeds):
        first = noise + members.get(seed, 0)
        members[seed] = members.get(seed, 0) + group_size
        for chance in range(first, first + group_size):
            yield Start(f"{label}#{seed}.{chance}{suffix}", seed, chance, f"{label}#{seed}")
