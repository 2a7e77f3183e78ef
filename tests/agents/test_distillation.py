import json

import pytest

from agents.bandits import UCB, BanditPolicy
from agents.distillation import INTRODUCTION, FewShot, Recent, demonstrate, few_shot
from agents.protocols import Conversation
from agents.rollout import collect
from lmenvs import Message, read_episodes
from lmenvs.types import Action

ENV = "lmenvs/BernoulliBandit-v0?arms=3&horizon=8"


def test_demonstrations_are_the_algorithms_episodes_and_can_be_read_back(tmp_path):
    path = tmp_path / "ucb.jsonl"
    episodes = demonstrate(ENV, seeds=[3, 4], out=path)
    assert episodes == collect(ENV, "bandit:ucb", [3, 4])
    assert list(read_episodes(path)) == episodes
    assert [json.loads(line)["seed"] for line in path.read_text().splitlines()] == [3, 4]


def test_demonstrations_come_from_the_training_half_where_there_is_one():
    env = "lmenvs/ContextualBandit-v0?horizon=3"
    (episode,) = demonstrate(env, "bandit:linucb", [0])
    assert episode.split == "train"
    assert demonstrate(f"{env}&split=test", "bandit:linucb", [0])[0].split == "test"
    assert demonstrate(env, "bandit:linucb", [0], split="test")[0].split == "test"
    assert demonstrate(ENV, seeds=[0])[0].split == "all"


def test_an_example_is_the_play_up_to_a_turn_and_its_answer():
    (episode,) = demonstrate(ENV, seeds=[0])
    turns = episode.turns
    assert few_shot(episode, 1, skip=2) == (
        f"{INTRODUCTION}\n\n=== Example 1\n"
        f"{turns[0].observation}\n> {turns[0].action.text}\n"
        f"{turns[1].observation}\n> {turns[1].action.text}\n"
        f"{turns[2].observation}\nAnswer: {turns[2].action.text}"
    )


def test_examples_follow_at_the_given_distance_in_every_episode():
    episodes = demonstrate(ENV, seeds=[0, 1])
    text = few_shot(episodes, 3, skip=1, every=3)
    answers = [line for line in text.split("\n") if line.startswith("Answer: ")]
    wanted = [f"Answer: {e.turns[turn].action.text}" for e in episodes for turn in (1, 4, 7)]
    assert answers == wanted and "=== Example 6" in text
    assert few_shot(episodes[0], 99).count("=== Example") == 3  # turns 2, 4, 6 of 8


def test_an_example_may_leave_out_what_a_summary_holds_anyway():
    (episode,) = demonstrate(f"{ENV}&context=summary", seeds=[0])
    newest = "\n".join([episode.turns[4].observation, f"Answer: {episode.turns[4].action.text}"])
    assert few_shot(episode, 1, skip=4, earlier=0) == f"{INTRODUCTION}\n\n=== Example 1\n{newest}"
    before = f"{episode.turns[3].observation}\n> {episode.turns[3].action.text}"
    one = few_shot(episode, 1, skip=4, earlier=1)
    assert one == f"{INTRODUCTION}\n\n=== Example 1\n{before}\n{newest}"
    assert few_shot(episode, 3, earlier=99) == few_shot(episode, 3)


@pytest.mark.parametrize(
    "numbers",
    [
        {"examples": 0},
        {"examples": 2.5},
        {"skip": -1},
        {"every": 0},
        {"skip": 8},
        {"earlier": -1},
        {"earlier": "all"},
    ],
)
def test_examples_that_cannot_be_given_are_refused(numbers):
    with pytest.raises(ValueError, match="expected") as caught:
        few_shot(demonstrate(ENV, seeds=[0]), **numbers)
    assert "\n" not in str(caught.value)


class Echo:
    """Says how long its system message is."""

    version = 7

    def __init__(self):
        self.forgotten = []

    def act(self, conversations):
        return [Action(conversation.messages[0].content) for conversation in conversations]

    def forget(self, ids):
        self.forgotten += ids


def test_a_few_shot_policy_reads_the_examples_behind_the_instructions():
    base = Echo()
    policy = FewShot(base, "EXAMPLES")
    talk = Conversation("c", (Message("system", "Play."), Message("user", "Go?")), (1,))
    assert policy.act([talk])[0].text == "Play.\n\nEXAMPLES"
    policy.forget(["c"])
    assert policy.version == 7 and base.forgotten == ["c"]


def test_examples_do_not_confuse_a_policy_that_reads_observations():
    plain = BanditPolicy(UCB())
    examples = few_shot(demonstrate(ENV, seeds=[5]))
    assert collect(ENV, FewShot(plain, examples), [0]) == collect(ENV, "bandit:ucb", [0])


class Witness:
    """Writes down what it reads, and says `red`."""

    version = 7

    def __init__(self):
        self.read, self.forgotten = [], []

    def act(self, conversations):
        self.read += conversations
        return [Action("red", (1, 2), (3,)) for _ in conversations]

    def forget(self, ids):
        self.forgotten += ids


def test_recent_turns_follow_the_instructions_and_the_first_observation():
    said = [Message("system", "Play."), Message("user", "o0")]
    for turn in range(1, 4):
        said += [Message("assistant", f"a{turn}", Action(f"a{turn}")), Message("user", f"o{turn}")]
    for turns, texts in (
        (1, ["Play.", "o0", "a3", "o3"]),
        (2, ["Play.", "o0", "a2", "o2", "a3", "o3"]),
        (3, ["Play.", "o0", "a1", "o1", "a2", "o2", "a3", "o3"]),
        (9, ["Play.", "o0", "a1", "o1", "a2", "o2", "a3", "o3"]),
    ):
        base = Witness()
        policy = Recent(base, turns)
        whole = Conversation("c", tuple(said), (1,), parent=("p", 4))
        policy.act([whole])
        (read,) = base.read
        assert [message.content for message in read.messages] == texts
        if turns >= 3:
            assert read is whole and base.forgotten == []
        else:
            # nothing is left of what the base may keep of the turns before
            assert base.forgotten == ["c"] and read.parent is None
            assert all(message.action is None for message in read.messages)
            assert (read.id, read.seed) == ("c", (1,))
        policy.forget(["d"])
        assert base.forgotten[-1] == "d" and policy.version == 7


def test_a_player_of_recent_turns_plays_whole_episodes():
    base = Witness()
    (episode,) = collect(f"{ENV}&context=summary", Recent(base), [0])
    assert len(episode.turns) == 8 and len(base.read) == 8
    assert [len(one.messages) for one in base.read] == [2, 4, 4, 4, 4, 4, 4, 4]
    assert base.read[-1].messages[-1].content == episode.turns[-1].observation


def test_a_number_of_recent_turns_is_checked():
    with pytest.raises(ValueError, match="turns=0; expected a whole number >= 1"):
        Recent(Witness(), 0)
