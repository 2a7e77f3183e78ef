"""Two levels as one policy: who speaks when, what each level sees, and what is written down."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from agents.hierarchical import ACTOR_TASK, DONE, Hierarchy, TwoLevels
from agents.in_context import InContextPlanner
from agents.protocols import Conversation
from agents.rollout import collect
from agents.scripted import ExpertPolicy, RandomPolicy
from lmenvs.types import Action, Episode

KEY = "lmenvs/DelayedKey-v0?delay=5&keys=3"


class Scripted:
    """A policy that answers what a function says, and remembers who asked."""

    version = 0

    def __init__(self, answer: Callable[[Conversation], str]):
        self.answer, self.asked, self.forgotten = answer, list[Conversation](), set[str]()

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        self.asked += conversations
        return [Action(self.answer(one)) for one in conversations]

    def forget(self, ids: Iterable[str]) -> None:
        self.forgotten |= set(ids)


def obey(one: Conversation) -> str:
    """The key that the last subgoal names, and on."""
    said = one.messages[-1].content
    return said.rpartition("Subgoal: ")[2] if "Subgoal: " in said else "walk on"


def numbered(one: Conversation) -> str:
    return f"plan {len(one.messages) // 2}"


def play(policy: TwoLevels, env: str = KEY, seeds: Iterable[int] = range(4), **options: int):
    return collect(env, policy, seeds, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("every", "durations"), [(1, (1,) * 6), (4, (4, 2)), (9, (6,))])
def test_the_planner_speaks_every_so_many_turns(every: int, durations: tuple[int, ...]):
    policy = TwoLevels(Scripted(numbered), RandomPolicy(), Hierarchy(every=every), keep=True)
    for one in policy.split(play(policy)):
        assert one.durations_J == durations
        texts = [turn.action.text for turn in one.planner.turns]
        assert texts == [f"plan {j + 1}" for j in range(len(durations))]


def test_the_planner_speaks_sooner_where_the_actor_says_it_is_done():
    def act(one: Conversation) -> str:
        turn = len(one.messages) // 2 - 1
        return "red " + DONE if turn == 0 else f"walk on {DONE} " if turn == 2 else "walk on"

    policy = TwoLevels(Scripted(numbered), Scripted(act), Hierarchy(every=3), keep=True)
    episodes = play(policy)
    assert [turn.action.text for turn in episodes[0].turns] == ["red", *["walk on"] * 5]
    assert all(turn.valid for turn in episodes[0].turns)
    assert [one.durations_J for one in policy.split(episodes)] == [(1, 2, 3)] * 4


def test_a_scripted_planner_and_a_scripted_actor_open_the_door():
    policy = TwoLevels(
        Scripted(lambda one: one.messages[1].content.split("A sign says: the ")[1].split()[0]),
        Scripted(obey),
        Hierarchy(every=9),
        keep=True,
    )
    episodes = play(policy, seeds=range(8))
    assert all(episode.success for episode in episodes)
    for one in policy.split(episodes):
        assert one.fulfilled() == [0]


def test_each_level_sees_its_own_conversation():
    planner, actor = Scripted(numbered), Scripted(lambda _: "red")
    policy = TwoLevels(planner, actor, Hierarchy(every=4, planner_task="|P", actor_task="|A"))
    (episode,) = play(policy, seeds=[0])
    assert {one.id for one in planner.asked} == {f"{episode.id}/planner"}
    assert {one.id for one in actor.asked} == {f"{episode.id}/actor"}
    assert planner.forgotten == {f"{episode.id}/planner"}
    assert actor.forgotten == {f"{episode.id}/actor"}
    system, first, said, second = planner.asked[-1].messages
    assert system.content == episode.instructions + "|P"
    assert (first.content, said.content) == (episode.turns[0].observation, "plan 1")
    told = [f"> red\n{turn.observation}" for turn in episode.turns[1:5]]
    assert second.content == "\n".join(told)
    last = actor.asked[-1].messages
    assert last[0].content == episode.instructions + "|A"
    shown = [m.content for m in last if m.role == "user"]
    expected = [turn.observation for turn in episode.turns]
    expected[0] += "\nSubgoal: plan 1"
    expected[4] += "\nSubgoal: plan 2"
    assert shown == expected


def test_what_was_written_down_is_what_each_level_saw():
    planner, actor = Scripted(numbered), Scripted(lambda _: "red")
    policy = TwoLevels(planner, actor, Hierarchy(every=4), keep=True)
    (one,) = policy.split(play(policy, seeds=[3]))
    for episode, level in ((one.planner, planner), (one.actor, actor)):
        asked = level.asked[-1].messages
        assert asked[0].content == episode.instructions
        seen = [message.content for message in asked if message.role == "user"]
        assert seen == [turn.observation for turn in episode.turns]
    assert one.actor.final_observation == one.whole.final_observation


@pytest.mark.parametrize("max_turns", [None, 2, 4, 5])
def test_rewards_and_ends_are_the_same_at_every_level(max_turns: int | None):
    policy = TwoLevels(Scripted(numbered), RandomPolicy(), Hierarchy(every=4), keep=True)
    episodes = collect(KEY, policy, range(6), max_turns=max_turns)
    for one, episode in zip(policy.split(episodes), episodes, strict=True):
        assert one.whole == episode
        assert sum(one.durations_J) == len(one.actor.turns) == len(episode.turns)
        for level in (one.planner, one.actor):
            assert level.total_reward == pytest.approx(episode.total_reward)
            assert level.truncated == episode.truncated == (max_turns is not None)
        assert [t.reward for t in one.actor.turns] == [t.reward for t in episode.turns]


def test_behind_a_cut_the_planner_reads_all_since_its_last_subgoal():
    planner = Scripted(numbered)
    policy = TwoLevels(planner, Scripted(lambda _: "red"), Hierarchy(every=2), keep=True)
    whole = play(policy, seeds=[0])
    asked = planner.asked[-1].messages  # before the fifth turn
    policy.split(whole)
    (one,) = policy.split(collect(KEY, policy, [0], max_turns=4))
    assert one.planner.final_observation == asked[-1].content
    assert len(one.planner.turns) == 2


@pytest.mark.parametrize("subgoal", ["", "any"])
def test_a_constant_subgoal_reproduces_the_flat_policy(subgoal: str):
    flat = collect(KEY, RandomPolicy(), range(6))
    policy = TwoLevels(Scripted(lambda _: subgoal), RandomPolicy(), Hierarchy(every=2))
    assert collect(KEY, policy, range(6)) == flat
    expert = TwoLevels(Scripted(lambda _: subgoal), ExpertPolicy(), Hierarchy(every=2))
    assert collect(KEY, expert, range(6)) == collect(KEY, ExpertPolicy(), range(6))


def test_width_and_order_change_nothing():
    def played(width: int, seeds: list[int]) -> list[Episode]:
        policy = TwoLevels(RandomPolicy(), RandomPolicy(), Hierarchy(every=2), keep=True)
        planned = policy.split(collect(KEY, policy, seeds, width=width))
        return sorted((one.planner for one in planned), key=lambda episode: episode.id)

    assert played(1, [0, 1, 2, 3]) == played(3, [3, 2, 1, 0])


def test_a_planner_whose_window_is_full_ends_the_game():
    class Full(Scripted):
        def act(self, conversations: Sequence[Conversation]) -> list[Action]:
            return [replace(a, finish="context") for a in super().act(conversations)]

    def planner(one: Conversation) -> str:
        return "x"

    class Second(Full):
        def act(self, conversations: Sequence[Conversation]) -> list[Action]:
            first = all(len(one.messages) == 2 for one in conversations)
            return (Scripted if first else Full).act(self, conversations)

    policy = TwoLevels(Second(planner), Scripted(obey), Hierarchy(every=2), keep=True)
    (one,) = policy.split(play(policy, seeds=[0]))
    assert one.whole.truncated and one.durations_J == (2,)


def test_only_what_is_kept_can_be_split_and_only_once():
    policy = TwoLevels(RandomPolicy(), RandomPolicy())
    episodes = play(policy)
    with pytest.raises(ValueError, match="its subgoals are not known"):
        policy.split(episodes)
    policy = TwoLevels(RandomPolicy(), RandomPolicy(), keep=True)
    episodes = play(policy)
    policy.split(episodes)
    with pytest.raises(ValueError, match="its subgoals are not known"):
        policy.split(episodes)


@pytest.mark.parametrize(
    "fields", [{"every": 0}, {"models": "three"}, {"subgoal": "no place for it"}]
)
def test_a_hierarchy_that_cannot_be_is_refused(fields):
    with pytest.raises(ValueError, match="expected"):
        Hierarchy(**fields)


def test_a_subgoal_is_met_where_its_words_are_said_or_seen():
    texts = iter(["RED", "3 steps", "", "blue"])
    policy = TwoLevels(
        Scripted(lambda _: next(texts)), Scripted(lambda _: "red"), Hierarchy(every=2), keep=True
    )
    (one,) = policy.split(collect("lmenvs/DelayedKey-v0?delay=6", policy, [0]))
    # said at once; the answer to turn 3 says how far it is; an empty one is never met
    assert one.fulfilled() == [0, 3, None, None]


class Bandit(Scripted):
    """Tries each plan once, then names the best that its prompt tells of."""

    plans = ("the left door", "what the sign says", "no plan at all")

    def __init__(self) -> None:
        super().__init__(self.propose)

    def propose(self, one: Conversation) -> str:
        told = one.messages[0].content
        fresh = [plan for plan in self.plans if f"\n{plan}: " not in told]
        if fresh:
            return fresh[0]
        return told.partition("best first:\n")[2].partition(":")[0]


def test_a_planner_in_context_finds_the_plan_that_earns_most_without_a_gradient():
    def act(one: Conversation) -> str:
        table = one.messages[1].content
        if len(one.messages) > 2:
            return "walk on"
        if "what the sign says" in table.rpartition("Subgoal: ")[2]:
            return table.split("A sign says: the ")[1].split()[0]
        return "red"

    planner = InContextPlanner(Bandit())
    policy = TwoLevels(planner, Scripted(act), Hierarchy(every=9), keep=True)
    earned: list[float] = []
    for round_ in range(5):
        episodes = play(policy, seeds=range(8 * round_, 8 * round_ + 8))
        planned = policy.split(episodes)
        earned.append(float(np.mean([e.total_reward for e in episodes])))
        assert (
            planned[0].planner.instructions
            == episodes[0].instructions + policy.hierarchy.planner_task
        )
        planner.learn(planned)
    assert earned[3:] == [1.0, 1.0] and min(earned[0], earned[2]) < 1.0
    counts = {plan: count for plan, count, _ in planner.record}
    assert counts == {Bandit.plans[0]: 8, Bandit.plans[1]: 24, Bandit.plans[2]: 8}
    again = InContextPlanner(Bandit(), planner.record)
    assert again.told() == planner.told()


def test_the_record_of_plans_counts_what_followed_each_decision():
    policy = TwoLevels(Scripted(numbered), Scripted(lambda _: "red"), Hierarchy(every=4), keep=True)
    planned = policy.split(play(policy, seeds=range(6)))
    planner = InContextPlanner(RandomPolicy())
    planner.learn(planned)
    lasts = [one.planner.turns[-1].reward for one in planned]
    totals = [one.whole.total_reward for one in planned]
    (first, second) = planner.record
    assert first == ("plan 1", 6, pytest.approx(sum(totals)))
    assert second == ("plan 2", 6, pytest.approx(sum(lasts)))


def test_the_actor_is_told_how_to_say_that_it_is_done():
    assert DONE in ACTOR_TASK
