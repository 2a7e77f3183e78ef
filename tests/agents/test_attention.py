"""Attention by a plan: however a pass is split into calls, every row attends to itself alone."""

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from agents.attention import attend, followed
from agents.attention_plan import Row, make_plan
from agents.cache import SlotCache
from tests.support.language import model

HEADS, KEY_HEADS, WIDTH = 4, 2, 8
CPU = torch.device("cpu")
ROWS = {
    "one token each, of one length": [Row(slot, 9, 1) for slot in range(5)],
    "one token each, far apart": [Row(slot, 3 + 40 * (slot % 3), 1) for slot in range(9)],
    "gaps between the slots": [Row(slot, slot, 1) for slot in (0, 3, 4, 8)],
    "blocks of one length": [Row(slot, 7, 6) for slot in range(4)],
    "fresh blocks": [Row(slot, 0, 6) for slot in range(4)],
    "blocks of all lengths": [Row(slot, 5 * slot, 1 + slot) for slot in range(1, 8)],
    "some read, some answer": [Row(5, 60, 1), Row(0, 3, 1), Row(2, 0, 30), Row(3, 11, 4)],
    "one long among short ones": [Row(0, 4, 2), Row(1, 250, 40), Row(2, 5, 2), Row(6, 6, 3)],
    "one row": [Row(3, 17, 1)],
}


def filled(slots: int, capacity: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (slots, KEY_HEADS, capacity, WIDTH)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("kind", ROWS)
def test_every_row_attends_to_its_own_past_and_nothing_else(
    kind: str, window: int | None, alone: bool
):
    rows = ROWS[kind]
    keys, values = filled(10, 300)
    plan = make_plan(rows, HEADS * WIDTH, KEY_HEADS * WIDTH, CPU, alone=alone)
    total = sum(row.new for row in rows)
    query = torch.randn(1, HEADS, total, WIDTH, generator=torch.Generator().manual_seed(1))
    with followed(plan, model().config):
        answer, _ = attend(
            torch.nn.Identity(), query, keys, values, None, scaling=0.4, sliding_window=window
        )
    assert answer.shape == (1, total, HEADS, WIDTH)
    begin = 0
    for index in plan.order:
        row = rows[index]
        assert int(plan.last[index]) == begin + row.new - 1
        for step in range(row.new):
            place = row.start + step
            assert int(plan.slots[begin]) == row.slot
            assert int(plan.positions[begin]) == place
            first = 0 if window is None else max(0, place - window + 1)
            expected = scaled_dot_product_attention(
                query[:, :, begin : begin + 1],
                keys[row.slot, None, :, first : place + 1].repeat_interleave(2, 1),
                values[row.slot, None, :, first : place + 1].repeat_interleave(2, 1),
                scale=0.4,
            )
            torch.testing.assert_close(answer[0, begin], expected[0, :, 0], atol=1e-5, rtol=1e-4)
            begin += 1


def test_a_row_much_longer_than_the_others_has_a_call_of_its_own():
    rows = [Row(slot, 2000 if slot == 3 else 100, 1) for slot in range(32)]
    plan = make_plan(rows, 160, 160, CPU)
    assert sorted(call.seen for call in plan.calls) == [101, 2001]
    together = make_plan(rows, 160, 160, CPU, alone=False)
    assert [call.seen for call in together.calls] == [2001]


def test_rows_of_one_length_need_no_mask_and_no_gathering():
    (call,) = make_plan([Row(slot, 9, 1) for slot in (2, 0, 1)], 32, 16, CPU).calls
    assert call.mask(None, torch.zeros(1)) is None and call.take is None
    (block,) = make_plan([Row(slot, 9, 4) for slot in (2, 0, 1)], 32, 16, CPU).calls
    mask = block.mask(None, torch.zeros(1))
    assert mask is not None and mask.shape == (1, 1, 4, 13) and block.take is None
    assert (mask[0, 0] == 0).sum(-1).tolist() == [10, 11, 12, 13]


@pytest.mark.parametrize(
    "asked", [{"s_aux": torch.zeros(4)}, {"softcap": 30.0}, {"dropout": 0.1}], ids=str
)
def test_attention_that_would_give_other_numbers_is_refused_in_one_line(asked: dict[str, object]):
    keys, values = filled(1, 8)
    plan = make_plan([Row(0, 3, 1)], 32, 16, CPU)
    query = torch.zeros(1, HEADS, 1, WIDTH)
    with followed(plan, model().config), pytest.raises(ValueError, match=next(iter(asked))) as no:
        attend(torch.nn.Identity(), query, keys, values, None, **asked)  # type: ignore[arg-type]
    assert "\n" not in str(no.value)


def test_a_model_attends_as_before_when_the_plan_is_done():
    language_model = model()
    ids = torch.arange(12)[None]
    before = language_model(input_ids=ids).logits
    with followed(make_plan([Row(0, 0, 1)], 32, 16, CPU), language_model.config):
        assert language_model.config._attn_implementation != "sdpa"
    assert language_model.config._attn_implementation == "sdpa"
    assert torch.equal(language_model(input_ids=ids).logits, before)


def test_what_is_stored_stays_when_slots_and_capacity_grow():
    cache = SlotCache()
    drawn = torch.randn(1, 2, 3, 4, generator=torch.Generator().manual_seed(2))
    cache.reserve(2, 3)
    cache.aim(make_plan([Row(1, 0, 3)], 8, 8, CPU))
    cache.update(drawn, 2 * drawn, 0)
    cache.reserve(5, 1000)
    cache.aim(make_plan([Row(4, 999, 1)], 8, 8, CPU))
    keys, values = cache.update(drawn[:, :, :1], drawn[:, :, :1], 0)
    torch.testing.assert_close(keys[1, :, :3], drawn[0])
    torch.testing.assert_close(values[1, :, :3], 2 * drawn[0])
    cache.copy(1, [0, 3], 2)
    keys, _ = cache.update(drawn[:, :, :1], drawn[:, :, :1], 0)
    for target in (0, 3):
        torch.testing.assert_close(keys[target, :, :2], drawn[0, :, :2])
        assert not keys[target, :, 2:].any()
    assert cache.nbytes == 2 * 5 * 2 * keys.shape[2] * 4 * 4


def test_plans_are_the_same_whatever_order_the_rows_come_in():
    rows = ROWS["blocks of all lengths"]
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    first, second = (make_plan(r, 32, 16, CPU) for r in (rows, shuffled))
    assert torch.equal(first.slots, second.slots)
    assert torch.equal(first.positions, second.positions)
