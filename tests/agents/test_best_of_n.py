from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from agents import make_policy
from agents.best_of_n import BestOfN, action_values
from agents.lm import LMPolicy
from agents.protocols import Conversation
from agents.rollout import collect
from agents.sampling import Sampling
from agents.utterance_critics import Reading, UtteranceCritic, save_judge
from lmenvs.types import Action, Message
from tests.support.language import with_random_heads
from tests.support.training import MICROWAVE, beginner

READINGS = [
    Reading("episode"),
    Reading("policy"),
    Reading("turn"),
    Reading("apart"),
    Reading("turn", history=None),
]


class Fixed:
    """Says what its conversation's seed asks for, and remembers who was asked and forgotten."""

    version = 3

    def __init__(self, says: Sequence[str]):
        self.says, self.asked, self.gone = says, list[Conversation](), list[str]()

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        self.asked += conversations
        _, chat = beginner()
        said = [self.says[one.seed[-1]] for one in conversations]
        return [
            Action(
                text,
                tuple(chat.start(one.messages)),
                tuple(chat.encode_action(text)),
                (),
                "stop",
                True,
            )
            for one, text in zip(conversations, said, strict=True)
        ]

    def forget(self, ids: Iterable[str]) -> None:
        self.gone += ids


def asked(name: str = "a") -> Conversation:
    return Conversation(name, (Message("system", "Cook."), Message("user", "It is shut.")), (1, 2))


def critic_of(reading: Reading | None = None) -> UtteranceCritic:
    critic = UtteranceCritic(beginner()[0], reading or Reading("turn"))
    with_random_heads(critic)
    return critic.eval()


@pytest.mark.parametrize("reading", READINGS)
def test_what_is_said_has_the_greatest_of_the_lesser_values(reading: Reading):
    model, chat = beginner()
    critic, says = critic_of(reading), ["open", "put", "close", "start"]
    fixed = Fixed(says)
    policy = BestOfN(fixed, critic, model, chat, 4)
    (said,) = policy.act([asked()])
    each = Fixed(says)
    forks = [Conversation("f", asked().messages, (0, k)) for k in range(4)]
    alone = [float(action_values(critic, model, chat, [f], each.act([f]))) for f in forks]
    assert said.text == says[alone.index(max(alone))]
    assert len(set(alone)) == 4 and policy.version == 3


@torch.no_grad()
def test_the_value_is_the_lesser_head_at_the_last_token():
    model, chat = beginner()
    critic = critic_of(Reading("episode"))
    (action,) = Fixed(["open"]).act([Conversation("f", asked().messages, (0,))])
    ids = torch.tensor([[*action.prompt_ids, *action.token_ids]])
    stack = critic.stack(model)
    hidden: Tensor = stack(input_ids=ids).last_hidden_state[0]
    before, behind = hidden[len(action.prompt_ids) - 1], hidden[-1]
    expected = critic.action_values(before[None], behind[None]).min()
    found = action_values(critic, model, chat, [asked()], [action])
    torch.testing.assert_close(found[0], expected, atol=1e-5, rtol=1e-4)


def test_only_the_fork_that_was_chosen_is_kept_and_it_is_the_parent_of_the_next():
    model, chat = beginner()
    fixed = Fixed(["open", "put", "close"])
    policy = BestOfN(fixed, critic_of(), model, chat, 3)
    one = asked()
    (said,) = policy.act([one])
    kept = {fork.id for fork in fixed.asked} - set(fixed.gone)
    assert len(kept) == 1
    (name,) = kept
    more = (*one.messages, Message("assistant", said.text, said), Message("user", "It is open."))
    policy.act([Conversation("a", more, (1, 3))])
    assert {fork.parent for fork in fixed.asked[3:]} == {(name, 3)}
    assert name in fixed.gone
    policy.forget(["a", "nobody"])
    assert {fork.id for fork in fixed.asked} == set(fixed.gone)


@pytest.mark.parametrize("reading", [Reading("episode"), Reading("turn")])
def test_shared_pasts_change_nothing(reading: Reading):
    model, chat = beginner()
    critic, sampling = critic_of(reading), Sampling(max_new_tokens=6)

    class Afresh(LMPolicy):
        """Remembers nothing from one turn to the next."""

        def act(self, conversations: Sequence[Conversation]) -> list[Action]:
            self.reset()
            return super().act(conversations)

    played = [
        collect(MICROWAVE, BestOfN(kind(model, chat, sampling), critic, model, chat, 3), range(6))
        for kind in (LMPolicy, Afresh)
    ]
    texts = [[[t.action.text for t in one.turns] for one in episodes] for episodes in played]
    assert texts[0] == texts[1]
    assert all(one.turns[-1].action.token_ids for one in played[0])


@pytest.mark.parametrize("reading", READINGS)
def test_a_folder_with_a_judge_plays_the_best_of_its_answers(reading: Reading, tmp_path: Path):
    model, chat = beginner()
    critic = critic_of(reading)
    critic.set_unit(-3.0, 2.0)
    chat.save(model, tmp_path)
    save_judge(critic, tmp_path, 4)
    loaded = make_policy(f"hf:{tmp_path}?max_new_tokens=6")
    assert isinstance(loaded, BestOfN)
    own = BestOfN(LMPolicy(model, chat, Sampling(max_new_tokens=6)), critic, model, chat, 4)
    assert loaded.act([asked()]) == own.act([asked()])


def test_no_candidate_is_refused():
    with pytest.raises(ValueError, match="candidates 0"):
        BestOfN(Fixed([]), critic_of(), *beginner(), 0)
