"""What a policy is told of its aim: one text in training and in play, kept with the weights."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agents.conditioned import FILE, Conditioned, Conditioning, conditioned, edges_of, read
from agents.protocols import Conversation
from lmenvs.types import Action, Episode, Message, Turn

CLASSES = Conditioning("class", "turn", target=9.0, edges=(0.0, 5.0))


class Listener:
    """Remembers what it was asked."""

    version = 3

    def __init__(self):
        self.heard: list[Conversation] = []
        self.forgotten: list[str] = []

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        self.heard += conversations
        return [Action("go") for _ in conversations]

    def forget(self, ids: Iterable[str]) -> None:
        self.forgotten += ids


def episode(rewards: Sequence[float]) -> Episode:
    turns = tuple(
        Turn(f"room {t}", Action("go", (1,), (2,), (-0.5,)), reward)
        for t, reward in enumerate(rewards)
    )
    return Episode("e", "lmenvs/X-v0", 0, "all", "Play.", turns, "end", True, False, True)


def messages_of(one: Episode, upto: int) -> tuple[Message, ...]:
    """What a player has read before turn `upto` and at it."""
    said = [Message("system", one.instructions)]
    for turn in one.turns[:upto]:
        said += [Message("user", turn.observation), Message("assistant", turn.action.text)]
    return (*said, Message("user", one.turns[upto].observation))


@pytest.mark.parametrize(
    "conditioning",
    [
        replace(CLASSES, target=7.0),
        replace(CLASSES, per="episode", target=7.0),
        Conditioning("return", "episode", target=7.0),
        # every turn pays 1 but the last: a rule that the player knows
        Conditioning("return", "turn", target=7.0, reward_per_turn=1.0),
    ],
)
def test_an_episode_that_earned_the_target_reads_in_training_as_in_play(
    conditioning: Conditioning,
):
    one = episode([1.0, 1.0, 5.0])
    trained = conditioning.told(one)
    assert trained != one
    for turn in range(3):
        assert conditioning.asked(messages_of(one, turn)) == messages_of(trained, turn)


def test_a_return_at_every_turn_is_what_is_still_to_come():
    told = Conditioning("return", "turn").told(episode([-1.0, -1.0, 4.0]))
    said = [turn.observation for turn in told.turns]
    assert said == [
        "room 0\nAim: return 2.",
        "room 1\nAim: return 3.",
        "room 2\nAim: return 4.",
    ]
    asked = Conditioning("return", "turn", target=2.0).asked(messages_of(episode([0.0] * 3), 2))
    # a player that knows nothing of rewards has nothing to take off
    assert [m.content for m in asked if m.role == "user"][2] == "room 2\nAim: return 2."


def test_told_episodes_have_no_ids_of_a_prompt_that_did_not_say_so():
    told = CLASSES.told(episode([1.0]))
    assert told.turns[0].action == Action("go")


def test_with_one_class_nothing_is_told():
    one = episode([1.0, 2.0])
    silent = Conditioning("class")
    assert silent.asked(messages_of(one, 1)) == messages_of(one, 1)
    assert silent.told(one).turns[0].observation == "room 0"


def test_the_wrapper_asks_for_the_aim_and_passes_the_rest_on():
    base = Listener()
    policy = Conditioned(base, CLASSES)
    messages = messages_of(episode([0.0, 0.0]), 1)
    given = Conversation("c", messages, (4, 2), ("p", 1), prompt_ids=(9,))
    assert [action.text for action in policy.act([given])] == ["go"]
    (heard,) = base.heard
    assert heard == replace(given, messages=CLASSES.asked(messages), prompt_ids=None)
    assert heard.messages[-1].content == "room 1\nAim: quality 3 of 3."
    policy.forget(["c"])
    assert base.forgotten == ["c"] and policy.version == 3


def test_the_best_return_is_alone_in_the_best_class_however_returns_are_spread():
    for returns, classes in [
        ([0.0, 0.0, 0.0, 1.0], 2),
        ([0.0, 1.0, 1.0, 1.0], 4),
        ([-3.0, 2.0, 2.0, 8.0, 8.0], 3),
    ]:
        one = Conditioning("class", edges=edges_of(returns, classes))
        assert one.class_of(max(returns)) == one.classes > one.class_of(min(returns)) == 1
    assert edges_of([5.0, 5.0], 4) == ()
    assert edges_of([float(r) for r in range(100)], 4) == (24.0, 49.0, 74.0)


def test_what_stands_beside_a_model_is_read_again_and_another_return_can_be_asked_for(
    tmp_path: Path,
):
    base = Listener()
    assert conditioned(base, tmp_path) is base
    with pytest.raises(ValueError, match=r"return=1\.0: .* has no conditioning\.json"):
        conditioned(base, tmp_path, target=1.0)
    CLASSES.save(tmp_path)
    assert read(tmp_path) == CLASSES
    policy = conditioned(base, tmp_path, target=-1)
    assert isinstance(policy, Conditioned)
    assert policy.conditioning == replace(CLASSES, target=-1.0)
    (tmp_path / FILE).write_text('{"what": "class"}')
    with pytest.raises(ValueError, match=r"conditioning\.json: expected what `lmenvs train"):
        read(tmp_path)


def test_edges_that_do_not_rise_are_refused():
    with pytest.raises(ValueError, match=r"edges \(1\.0, 1\.0\); expected rising numbers"):
        Conditioning("class", edges=(1.0, 1.0))
