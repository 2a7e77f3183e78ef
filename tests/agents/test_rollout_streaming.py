"""Rollouts with a policy that streams: nobody waits, order decides nothing, all is read once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from agents.attention_plan import Row
from agents.branching import branch
from agents.lm import LMPolicy
from agents.protocols import Conversation, StreamingPolicy
from agents.rollout import collect
from agents.sampling import Sampling
from lmenvs import Action, Episode, Outcome
from tests.support.games import Dice, rolls
from tests.support.language import chat, model, policy
from tests.support.troubles import Troubled


class Talkative(Dice):
    """Dice that goes on for so many turns, whatever is said; it says things of many lengths."""

    def __init__(self, turns: int = 5, **kwargs: Any):
        super().__init__(**kwargs)
        self.turn_limit = turns

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        begun = super()._begin(task, options)
        return " ".join(f"Total {number}." for number in task.integers(99, size=20)) + begun

    def _play(self, action: str) -> Outcome:
        draws = self.np_random.integers(99, size=int(self.np_random.integers(1, 5)))
        return Outcome(" ".join(f"Total {number}." for number in draws))


class Slow:
    """Streams; an answer takes as many advances as the seed of its task says."""

    version = 0

    def __init__(self) -> None:
        self.left: dict[str, tuple[int, Conversation]] = {}
        self.log: list[tuple[str, ...]] = []

    def submit(self, conversations: Sequence[Conversation]) -> None:
        for one in conversations:
            assert one.id not in self.left
            self.left[one.id] = 1 + one.seed[1], one

    def advance(self) -> list[tuple[str, Action]]:
        self.log.append(tuple(self.left))
        self.left = {name: (count - 1, one) for name, (count, one) in self.left.items()}
        ready = [(name, one) for name, (count, one) in self.left.items() if not count]
        for name, _ in ready:
            del self.left[name]
        return [(name, Action("roll" if one.seed[-1] < 2 else "stop")) for name, one in ready]

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        raise AssertionError("a policy that streams is not asked in rounds")

    def forget(self, ids: Iterable[str]) -> None:
        for name in ids:
            self.left.pop(name, None)


def distinct_tokens(episodes: Sequence[Episode]) -> int:
    """How many tokens there are when shared beginnings count once."""
    found = set[int]()
    for episode in episodes:
        state = 0
        for turn in episode.turns:
            for token in (*turn.action.prompt_ids, *turn.action.token_ids):
                state = hash((state, token))
                found.add(state)
    return len(found)


def test_a_fast_conversation_does_not_wait_for_a_slow_one() -> None:
    slow = Slow()
    assert isinstance(slow, StreamingPolicy)
    ended: list[int] = []
    episodes = collect(Dice, slow, [5, 0, 1, 0], width=2, on_episode=lambda e: ended.append(e.seed))
    assert episodes == collect(Dice, rolls(2), [5, 0, 1, 0])
    assert ended == [0, 1, 0, 5]
    # 3 answers of 6 advances each; beside them 3 of 1, 3 of 2 and 3 of 1 again
    assert [len(asked) for asked in slow.log] == [2] * (3 + 6 + 3) + [1] * 6


@pytest.mark.parametrize("worker", ["thread", "process"])
def test_what_environments_do_is_waited_for_one_advance_later(worker: Any) -> None:
    logs: list[list[tuple[str, ...]]] = []
    for _ in range(2):
        slow = Slow()
        made = Troubled if worker == "process" else lambda: Troubled(delays=True)
        episodes = collect(made, slow, [3, 0, 1, 0], width=2, env_workers=2, worker=worker)
        assert episodes == collect(Troubled, rolls(2), [3, 0, 1, 0])
        logs.append(slow.log)
    assert logs[0] == logs[1]  # however long each of the threads slept
    first, second = "Troubled#3.0", "Troubled#0.0"
    assert logs[0][:7] == [
        (first, second),
        (first,),  # the second's environment is at work
        (first, second),
        (first,),
        (second,),  # the first's environment is at work
        (first,),  # the second's last turn
        (first,),  # the episode in its place begins
    ]


def test_neither_width_nor_workers_change_what_a_language_model_plays() -> None:
    language_model = model()
    plain = collect(Talkative, policy(language_model), range(5), group_size=2, width=1)
    assert len({one.turns[-1].action.token_ids for one in plain}) > 5
    for options in ({"width": 3}, {"width": 64}, {"env_workers": 2, "worker": "thread"}):
        again = collect(Talkative, policy(language_model), range(5), group_size=2, **options)  # type: ignore[arg-type]
        assert [said(one) for one in again] == [said(one) for one in plain]


def said(episode: Episode) -> list[tuple[int, ...]]:
    return [(*turn.action.prompt_ids, -1, *turn.action.token_ids) for turn in episode.turns]


def test_the_same_rollout_makes_the_same_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[list[Row]] = []
    import agents.lm

    plan = agents.lm.make_plan

    def recorded(rows: Sequence[Row], *others: Any, **named: Any) -> Any:
        passes.append(list(rows))
        return plan(rows, *others, **named)

    monkeypatch.setattr(agents.lm, "make_plan", recorded)

    def played(**options: Any) -> tuple[list[list[Row]], list[Episode]]:
        passes.clear()
        speaker = policy(model())
        made = options.pop("made", Troubled)
        episodes = collect(made, speaker, range(6), max_turns=4, width=4, **options)
        return list(passes), episodes

    inline = played()
    assert played() == inline and len(inline[0]) > 8
    threads = [
        played(made=lambda: Troubled(delays=True), env_workers=2, worker="thread") for _ in "abc"
    ]
    assert threads[0] == threads[1] == threads[2]
    assert [said(one) for one in threads[0][1]] == [said(one) for one in inline[1]]


@pytest.mark.parametrize("turns", [5, 50])
def test_members_of_a_group_never_read_a_prefix_twice(turns: int) -> None:
    speaker = LMPolicy(model(context=4096), chat(), Sampling(max_new_tokens=3))
    episodes = collect(lambda: Talkative(turns), speaker, [1, 2], group_size=8)
    assert {len(one.turns) for one in episodes} == {turns}
    distinct = distinct_tokens(episodes)
    assert distinct / 2 < speaker.forwarded_tokens <= 1.1 * distinct


@pytest.mark.parametrize(("turns", "chosen"), [(5, (1, 3)), (50, (10, 40))])
def test_branches_never_read_their_past_again(turns: int, chosen: tuple[int, ...]) -> None:
    speaker = LMPolicy(model(context=4096), chat(), Sampling(max_new_tokens=3))

    def make() -> Talkative:
        return Talkative(turns)

    parents = collect(make, speaker, [1, 2], forget=False)
    read = speaker.forwarded_tokens
    children = branch(make, speaker, parents, chosen, 4, forget=False)
    distinct = distinct_tokens([*parents, *children])
    assert len(children) == 2 * len(chosen) * 4
    assert read < speaker.forwarded_tokens <= 1.1 * distinct
    speaker.forget([one.id for one in (*parents, *children)])


def test_an_answer_that_nobody_asked_for_is_refused() -> None:
    class Mistaken(Slow):
        def advance(self) -> list[tuple[str, Action]]:
            return [("x", Action("stop"))]

    with pytest.raises(ValueError, match="Mistaken.advance answers conversation x") as caught:
        collect(Dice, Mistaken(), [0])
    assert "\n" not in str(caught.value)


def test_after_an_exception_a_streaming_policy_is_free_again() -> None:
    speaker = policy(model())

    def stop(episode: Episode) -> None:
        raise KeyboardInterrupt

    for forget in (True, False):
        with pytest.raises(KeyboardInterrupt):
            collect(Talkative, speaker, range(4), width=3, forget=forget, on_episode=stop)
    fresh = collect(Talkative, policy(model()), range(2))
    assert [said(one) for one in collect(Talkative, speaker, range(2))] == [said(o) for o in fresh]
