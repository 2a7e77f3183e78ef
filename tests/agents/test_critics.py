import copy

import pytest
import torch

from agents.critics import TurnCritic, move_towards
from agents.models import decoder, with_lora
from tests.support.language import FAMILIES, model, with_random_heads

IDS = torch.tensor([[2, 40, 41, 3, 50, 60, 4, 70, 71, 1]])
BEFORE, AFTER = torch.tensor([[6]]), torch.tensor([[9]])  # an answer stands at 7, 8 and 9


def critic(family: str = "llama") -> TurnCritic:
    made = TurnCritic(model(family), values=2, action_values=2, token_values=1).eval()
    with_random_heads(made)
    return made


def test_before_any_training_every_value_is_zero():
    fresh = TurnCritic(model(), values=2, action_values=3, token_values=1)
    hidden = fresh.encode(IDS)
    assert torch.equal(fresh.values(hidden, BEFORE), torch.zeros(1, 1, 2))
    assert torch.equal(fresh.action_values(hidden, AFTER), torch.zeros(1, 1, 3))
    assert torch.equal(fresh.token_values(hidden, AFTER), torch.zeros(1, 1, 1))


def test_a_critic_is_whole_on_the_device_of_its_model():
    made = TurnCritic(model().to("meta"), values=2, action_values=2, token_values=1)  # type: ignore[arg-type]
    assert {weight.device.type for weight in made.parameters()} == {"meta"}


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_v_has_not_seen_the_action_and_q_has(family: str):
    judge = critic(family)
    other = IDS.clone()
    other[0, 7:9] += 5
    hidden, moved = judge.encode(IDS), judge.encode(other)
    torch.testing.assert_close(judge.values(hidden, BEFORE), judge.values(moved, BEFORE))
    difference = judge.action_values(hidden, AFTER) - judge.action_values(moved, AFTER)
    assert (difference.abs() > 1e-3).all()


@torch.no_grad()
def test_padding_on_the_right_changes_no_value():
    judge = critic()
    padded = torch.nn.functional.pad(IDS, (0, 7), value=33)
    for read, where in ((judge.values, BEFORE), (judge.action_values, AFTER)):
        torch.testing.assert_close(
            read(judge.encode(padded), where), read(judge.encode(IDS), where), atol=1e-5, rtol=0
        )


@torch.no_grad()
def test_heads_of_a_half_precision_critic_compute_in_float32():
    judge = TurnCritic(model().bfloat16())
    with_random_heads(judge)
    hidden = judge.encode(IDS)
    assert hidden.dtype == torch.bfloat16
    value = judge.values(hidden, BEFORE)
    assert value.dtype == torch.float32
    exact = judge.value_head.double()(hidden[:, 6:7].double())
    torch.testing.assert_close(value.double(), exact, atol=1e-6, rtol=1e-6)
    # between 0.5 and 1, bf16 values are 1/256 apart: this one is none of them
    assert value.flatten()[0] != value.bfloat16().flatten()[0]


def test_fitting_the_critic_leaves_the_policy_as_it_was():
    language_model = model()
    before = copy.deepcopy(language_model.state_dict())
    judge = TurnCritic(language_model)
    with_random_heads(judge)
    optimizer = torch.optim.SGD(judge.parameters(), lr=1.0)
    judge.values(judge.encode(IDS), BEFORE).sum().backward()
    optimizer.step()
    after = language_model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not torch.equal(judge.encode(IDS), decoder(language_model)(IDS).last_hidden_state)


@torch.no_grad()
def test_the_critic_of_an_adapted_model_starts_from_the_merged_weights():
    adapted = with_lora(model(), rank=2)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            weight.fill_(0.05)
    judge = TurnCritic(adapted)
    expected = decoder(adapted)(IDS).last_hidden_state
    torch.testing.assert_close(judge.encode(IDS), expected, atol=1e-4, rtol=1e-4)
    # so that a run that is resumed finds the names it has saved
    assert judge.state_dict().keys() == TurnCritic(model()).state_dict().keys()
    assert all(weight.requires_grad for weight in judge.parameters())
    assert any("lora" in name for name, _ in adapted.named_parameters())


def test_polyak_moves_a_tenth_of_the_way():
    slow, fast = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    with torch.no_grad():
        slow.weight.fill_(1.0)
        slow.bias.fill_(-2.0)
        fast.weight.fill_(3.0)
        fast.bias.fill_(8.0)
    move_towards(slow, fast, 0.1)
    torch.testing.assert_close(slow.weight, torch.tensor([[1.2]]))
    torch.testing.assert_close(slow.bias, torch.tensor([-1.0]))
    move_towards(slow, fast, 1.0)
    assert torch.equal(slow.weight, fast.weight) and torch.equal(slow.bias, fast.bias)
    assert fast.weight.item() == 3.0
