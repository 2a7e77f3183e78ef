"""Two levels: a planner sets a subgoal for some turns, an actor answers the environment.

The planner speaks at the first turn, then every `every` turns, and sooner where the actor ends an
answer with `[done]`. Its conversation holds the game's instructions and its own task, then for each
decision what has happened since the last and the subgoal it named. The actor's conversation is the
game's, with the subgoal below the observation where it was set. `TwoLevels.split` turns what was
played into an episode of each level, so that both can be trained on the ids they sampled.

Planner kinds (`Hierarchy.planner`): "policy" is a model that is trained, "frozen" the model that
the run began with, "in-context" the same with its past plans and what they earned in the prompt
(the planner of LLM Economist, 2025), anything else the spec of a policy. Left out: streaming, so
that both levels answer in rounds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from lmenvs.types import Action, Episode, Message, Turn

from .protocols import Conversation, Policy

DONE = "[done]"
"""How an answer of the actor ends that has reached the subgoal; the environment does not see it."""

PLANNER_TASK = (
    "\nYou are the planner. Name the next subgoal, in a few words and nothing else; another "
    "player acts on it."
)
ACTOR_TASK = f"\nFollow the subgoal that you are given. End an answer that reaches it with {DONE}."


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """How the two levels are made up and what they are told."""

    models: Literal["shared", "two", "adapters"] = "shared"  # adapters: on the same weights
    planner: str = "policy"  # policy (trained), frozen, in-context, in-context:SPEC, or a spec
    actor: str = "policy"  # policy (trained), frozen, or the spec of a policy
    every: int = 4  # turns until the planner speaks again; 1 makes it speak before each
    planner_task: str = PLANNER_TASK  # told to the planner behind the game's instructions
    actor_task: str = ACTOR_TASK  # told to the actor behind them
    subgoal: str = "\nSubgoal: {subgoal}"  # how the actor is told; an empty subgoal is not told

    def __post_init__(self) -> None:
        """Refuse what cannot be played."""
        if self.models not in ("shared", "two", "adapters"):
            raise ValueError(f"models {self.models!r}; expected 'shared', 'two' or 'adapters'")
        if self.every < 1:
            raise ValueError(f"every {self.every}; expected at least 1 turn per subgoal")
        if "{subgoal}" not in self.subgoal:
            raise ValueError(f"subgoal {self.subgoal!r}; expected a text with {{subgoal}} in it")

    def shown(self, observation: str, subgoal: str | None) -> str:
        """What the actor reads at a turn; `subgoal` where one was set before it."""
        return observation + self.subgoal.format(subgoal=subgoal) if subgoal else observation


@dataclass(frozen=True, slots=True)
class Decision:
    """One subgoal.

    Attributes:
        turn: Before which turn of the game it was set.
        seen: What the planner was told.
        action: What the planner said.
    """

    turn: int
    seen: str
    action: Action


@dataclass(frozen=True, slots=True)
class Planned:
    """One play as the game, the planner and the actor lived it.

    Attributes:
        whole: The game's episode.
        planner: A turn per decision, whose reward is the sum of the rewards while it lasted.
        actor: The game's turns, with what the actor read and the ids it said.
        durations_J: How many turns each decision lasted.
    """

    whole: Episode
    planner: Episode
    actor: Episode
    durations_J: tuple[int, ...]

    def fulfilled(self) -> list[int | None]:
        """The turn in which each subgoal was met, or None.

        A subgoal is met when its text, in any case, stands in an answer of the actor or in what
        the game says to it.
        """
        turns = self.whole.turns
        answers = [*(turn.observation for turn in turns[1:]), self.whole.final_observation]
        met: list[int | None] = []
        start = 0
        for decision, length in zip(self.planner.turns, self.durations_J, strict=True):
            wanted = decision.action.text.strip().casefold()
            told = (
                t
                for t in range(start, start + length)
                if wanted and wanted in f"{turns[t].action.text}\n{answers[t]}".casefold()
            )
            met.append(next(told, None))
            start += length
        return met


@dataclass(slots=True)
class _Course:
    """The subgoals of a conversation so far, and whether the actor has reached the last one."""

    decisions: list[Decision] = field(default_factory=list)
    reached: bool = False


class TwoLevels:
    """A planner and an actor as one policy.

    Args:
        planner: Answers with subgoals.
        actor: Answers the game. The same object may be both.
        hierarchy: How often the planner speaks and what the levels are told.
        keep: Keep the subgoals of conversations that are over until `split` asks for them; their
            number must be bounded by the caller. A policy that is only evaluated keeps none.
    """

    def __init__(
        self,
        planner: Policy,
        actor: Policy,
        hierarchy: Hierarchy = Hierarchy(),
        *,
        keep: bool = False,
    ):
        self.planner, self.actor, self.hierarchy = planner, actor, hierarchy
        self._keep = keep
        self._courses: dict[str, _Course] = {}
        self._over: dict[str, _Course] = {}

    @property
    def version(self) -> int:
        """That of the level that has received more updates."""
        return max(self.planner.version, self.actor.version)

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """One action of the actor for each conversation, after a subgoal where one is due."""
        due = [one for one in conversations if self._is_due(one)]
        asked = [self._for_planner(one) for one in due]
        full: set[str] = set()
        answers = self.planner.act(asked) if asked else []
        for one, question, action in zip(due, asked, answers, strict=True):
            if action.finish == "context":  # nothing can follow: the game is cut here
                full.add(one.id)
                continue
            course = self._courses[one.id]
            seen = question.messages[-1].content
            course.decisions.append(Decision(_turn(one), seen, action))
            course.reached = False
        going = [one for one in conversations if one.id not in full]
        said = self.actor.act([self._for_actor(one) for one in going]) if going else []
        acted = {one.id: self._heard(one, a) for one, a in zip(going, said, strict=True)}
        return [acted.get(one.id, Action("", finish="context")) for one in conversations]

    def forget(self, ids: Iterable[str]) -> None:
        """Both levels forget these conversations."""
        names = list(ids)
        self.planner.forget([f"{name}/planner" for name in names])
        self.actor.forget([f"{name}/actor" for name in names])
        for name in names:
            course = self._courses.pop(name, None)
            if course is not None and self._keep:
                self._over[name] = course

    def split(self, episodes: Sequence[Episode]) -> list[Planned]:
        """What each level saw and said in these episodes; all that was kept is dropped.

        Raises:
            ValueError: for an episode that was not played with this policy since the last call.
        """
        courses = {**self._over, **self._courses}
        self._over = {}
        for episode in episodes:
            decisions = courses[episode.id].decisions if episode.id in courses else []
            if not decisions or decisions[0].turn > 0:
                raise ValueError(
                    f"episode {episode.id}: its subgoals are not known; expected episodes that "
                    "this policy (keep=True) has played since the last split, from their start"
                )
        return [split(one, courses[one.id].decisions, self.hierarchy) for one in episodes]

    def _is_due(self, one: Conversation) -> bool:
        course = self._courses.get(one.id)
        if course is None:
            course = self._courses[one.id] = self._inherited(one)
        if not course.decisions or course.reached:
            return True
        return _turn(one) - course.decisions[-1].turn >= self.hierarchy.every

    def _inherited(self, one: Conversation) -> _Course:
        """The subgoals that a forked conversation shares with its parent."""
        if one.parent is None:
            return _Course()
        name, shared = one.parent
        parent = self._courses.get(name) or self._over.get(name) or _Course()
        before = shared // 2 - 1
        return _Course([d for d in parent.decisions if d.turn < before])

    def _for_planner(self, one: Conversation) -> Conversation:
        decisions = self._courses[one.id].decisions
        system, *rest = one.messages
        messages = [Message("system", system.content + self.hierarchy.planner_task)]
        for decision in decisions:
            messages.append(Message("user", decision.seen))
            messages.append(Message("assistant", decision.action.text, decision.action))
        since = 2 * decisions[-1].turn + 1 if decisions else len(rest) - 1
        told = [m.content if m.role == "user" else f"> {m.content}" for m in rest[since:]]
        messages.append(Message("user", "\n".join(told)))
        # the 2 keeps this draw apart from the actor's
        return replace(
            one,
            id=f"{one.id}/planner",
            messages=tuple(messages),
            seed=(*one.seed, 2),
            parent=None,
        )

    def _for_actor(self, one: Conversation) -> Conversation:
        subgoals = {d.turn: d.action.text for d in self._courses[one.id].decisions}
        system, *rest = one.messages
        messages = [Message("system", system.content + self.hierarchy.actor_task)]
        for index, message in enumerate(rest):
            if message.role == "user":
                told = self.hierarchy.shown(message.content, subgoals.get(index // 2))
                message = replace(message, content=told)
            messages.append(message)
        parent = None if one.parent is None else (f"{one.parent[0]}/actor", one.parent[1])
        return replace(one, id=f"{one.id}/actor", messages=tuple(messages), parent=parent)

    def _heard(self, one: Conversation, action: Action) -> Action:
        """The action as the environment hears it; the ids stay those that were sampled."""
        text = action.text.rstrip()
        if not text.endswith(DONE):
            return action
        self._courses[one.id].reached = True
        return replace(action, text=text.removesuffix(DONE).rstrip())


def split(episode: Episode, decisions: Sequence[Decision], hierarchy: Hierarchy) -> Planned:
    """The planner's and the actor's episode of a game; a decision that no turn followed is none."""
    turns = episode.turns
    made = [decision for decision in decisions if decision.turn < len(turns)]
    ends = [*(decision.turn for decision in made[1:]), len(turns)]
    planned: list[Turn] = []
    for decision, end in zip(made, ends, strict=True):
        first, lasted = turns[decision.turn], turns[decision.turn : end]
        planned.append(
            Turn(
                decision.seen,
                decision.action,
                float(sum(turn.reward for turn in lasted)),
                progress=first.progress,
                state_key=first.state_key,
            )
        )
    subgoals = {decision.turn: decision.action.text for decision in made}
    acted = tuple(
        replace(turn, observation=hierarchy.shown(turn.observation, subgoals.get(t)))
        for t, turn in enumerate(turns)
    )
    last = made[-1].turn if made else 0
    told = [f"> {turns[last].action.text}"] if turns else []
    for turn in turns[last + 1 :]:
        told += [turn.observation, f"> {turn.action.text}"]
    return Planned(
        whole=episode,
        planner=replace(
            episode,
            id=f"{episode.id}/planner",
            group=None if episode.group is None else f"{episode.group}/planner",
            instructions=episode.instructions + hierarchy.planner_task,
            turns=tuple(planned),
            final_observation="\n".join([*told, episode.final_observation]),
        ),
        actor=replace(
            episode,
            id=f"{episode.id}/actor",
            instructions=episode.instructions + hierarchy.actor_task,
            turns=acted,
        ),
        durations_J=tuple(end - d.turn for d, end in zip(made, ends, strict=True)),
    )


def _turn(conversation: Conversation) -> int:
    """How many turns of the game were played before this question."""
    return len(conversation.messages) // 2 - 1
