"""Decoding of fixed shape says what ordinary decoding says; only the capture itself needs a GPU."""

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pytest import approx
from torch import Tensor

from agents import graphs
from agents.attention_plan import Row
from agents.graphs import Graphs
from agents.lm import LMPolicy
from agents.models import with_lora
from agents.sequences import Slot
from tests.support.language import (
    FAMILIES,
    Talk,
    full_logprobs,
    model,
    policy,
    spans,
    talk,
    tokenizer,
)

NAMES = ("a", "bee", "cedar", "d4", "ebony")


def stepwise(compute: Callable[[], Tensor], device: torch.device, beside: object) -> Any:
    """Stands for a CUDA graph: writes to the same tensor each time it is replayed."""
    found = compute()
    return SimpleNamespace(replay=lambda: found.copy_(compute())), found


def with_graphs(language_model: Any, capture: Any = stepwise, tokens: int = 6) -> LMPolicy:
    speaker = policy(language_model, tokens=tokens)
    speaker._graphs = Graphs(language_model, speaker._cache, capture)
    return speaker


def fixed(speaker: LMPolicy) -> Graphs:
    assert speaker._graphs is not None
    return speaker._graphs


def same(talks: list[Talk], others: list[Talk]) -> None:
    """They say the same with the same probabilities."""
    for mine, theirs in zip(talks, others, strict=True):
        for action, expected in zip(mine.actions, theirs.actions, strict=True):
            assert (action.token_ids, action.finish) == (expected.token_ids, expected.finish)
            assert action.logprobs == approx(expected.logprobs, abs=2e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_decoding_of_fixed_shape_equals_one_full_forward(family: str):
    language_model = model(family)
    speaker = with_graphs(language_model)
    talks = talk(speaker, NAMES, turns=4)
    assert fixed(speaker).served > 10
    for one in talks:
        expected = full_logprobs(language_model, one.ids)
        for start, end, action in spans(one):
            assert list(action.logprobs) == approx(expected[start - 1 : end - 1], abs=2e-4)
    assert len({len(one.ids) for one in talks}) > 2  # or the test would not see mixed lengths
    assert speaker.forwarded_tokens == sum(len(one.ids) - 1 for one in talks)  # no padding


@pytest.mark.parametrize("family", FAMILIES)
def test_slots_that_are_refilled_or_wait_are_not_disturbed(family: str):
    language_model = model(family)
    spoken: list[list[Talk]] = []
    for speaker in (with_graphs(language_model), policy(language_model)):
        talks = talk(speaker, NAMES, turns=2)
        few = [talks[1], talks[4]]
        for _ in range(3):  # the others keep their slots and are not asked
            answers = speaker.act([one.conversation() for one in few])
            for one, action in zip(few, answers, strict=True):
                one.said(action)
        speaker.forget(["a", "cedar"])
        talks += talk(speaker, ["fir", "gum", "holly"], turns=3)
        (action,) = speaker.act([talks[3].conversation()])
        talks[3].said(action)
        spoken.append(talks)
        if speaker._graphs is not None:
            assert fixed(speaker).served > 10 and len(fixed(speaker)._passes) > 1
    same(*spoken)


def test_forks_of_a_conversation_decode_as_without_graphs():
    spoken: list[list[Talk]] = []
    for speaker in (with_graphs(model()), policy()):
        talks = talk(speaker, NAMES, turns=3)
        for name in ("x", "y", "z"):
            talks.append(Talk("bee"))
            talks[-1].name = name
        forks = [one.conversation(parent=("bee", 2)) for one in talks[-3:]]
        for one, action in zip(talks[-3:], speaker.act(forks), strict=True):
            one.said(action)
        spoken.append(talks)
    same(*spoken)


def checked(speaker: LMPolicy, gone: list[tuple[int, ...]]) -> Callable[..., Any]:
    """A capture whose replays fail where a graph would read or write what has moved away."""

    def addresses() -> tuple[int, ...]:
        stores = (*speaker._cache._keys, *speaker._cache._values)
        return tuple(
            tensor.data_ptr()
            for tensor in (*stores, *speaker.model.parameters(), *speaker.model.buffers())
        )

    def capture(compute: Callable[[], Tensor], device: torch.device, beside: object) -> Any:
        graph, found = stepwise(compute, device, beside)
        places = addresses()
        gone.append(places)

        def replay() -> None:
            assert addresses() == places
            graph.replay()

        return SimpleNamespace(replay=replay), found

    return capture


@pytest.mark.parametrize("family", ["llama", "mistral", "gpt2"])
def test_no_graph_outlives_the_store_that_it_reads(family: str):
    language_model = model(family)
    speaker, captures = policy(language_model, tokens=40), list[tuple[int, ...]]()
    speaker._graphs = Graphs(language_model, speaker._cache, checked(speaker, captures))
    talks = talk(speaker, NAMES[:2], turns=9)
    talks += talk(speaker, ["fir", "gum", "holly"], turns=9)  # more slots than before
    ordinary = policy(language_model, tokens=40)
    same(talks, talk(ordinary, NAMES[:2], turns=9) + talk(ordinary, ["fir", "gum", "holly"], 9))
    assert len({keys for _, keys in fixed(speaker)._passes}) > 1  # some beyond the first bucket
    assert len(set(captures)) > 2  # the store has moved and moved again
    assert fixed(speaker).served > 10 * len(captures)


@pytest.mark.parametrize("assign", [False, True])
def test_after_reset_new_weights_are_decoded_with_whether_they_moved_or_not(assign: bool):
    language_model, other = model(), model(seed=1)
    speaker, captures = policy(language_model), list[tuple[int, ...]]()
    speaker._graphs = Graphs(language_model, speaker._cache, checked(speaker, captures))
    talk(speaker, NAMES, turns=2)
    served = fixed(speaker).served
    language_model.load_state_dict(other.state_dict(), assign=assign)
    speaker.reset()
    same(talk(speaker, NAMES, turns=3), talk(policy(other), NAMES, turns=3))
    assert fixed(speaker).served > served > 0


def test_adapters_that_are_merged_count_once():
    adapted = with_lora(model(), 2)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.2, generator=torch.Generator().manual_seed(0))
    speaker = with_graphs(adapted)
    apart = talk(speaker, NAMES, turns=2)
    adapted.merge_adapter()  # type: ignore[operator]  # peft's
    speaker.reset()
    merged = talk(speaker, NAMES, turns=2)
    adapted.unmerge_adapter()  # type: ignore[operator]  # peft's
    same(apart, merged)
    same(apart, talk(policy(adapted), NAMES, turns=2))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pass_of_fixed_shape_never_asks_the_device_for_a_value(
    family: str, monkeypatch: pytest.MonkeyPatch
):
    # tensors on "meta" have no values, and refuse to be computed with tensors that are elsewhere
    speaker = with_graphs(model(family))
    talk(speaker, NAMES, turns=1)
    monkeypatch.setattr(graphs, "mixed_precision", lambda *_, **__: nullcontext())
    speaker.model.to("meta")  # type: ignore[arg-type]  # transformers' annotation
    cache = speaker._cache
    cache._keys, cache._values = ([t.to("meta") for t in s] for s in (cache._keys, cache._values))
    found = fixed(speaker)._compute(torch.zeros(3, 8, dtype=torch.long, device="meta"), 64)
    assert found.shape == (8, len(tokenizer())) and found.is_meta


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3"])
def test_weights_cast_once_give_what_weights_cast_at_every_pass_give(
    family: str, monkeypatch: pytest.MonkeyPatch
):
    def half(device: torch.device, *, remember: bool = True) -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16, cache_enabled=remember)

    for place in ("agents.lm", "agents.graphs", "agents.devices"):
        monkeypatch.setattr(f"{place}.mixed_precision", half)
    language_model = model(family)
    speaker = with_graphs(language_model)
    talk(speaker, NAMES, turns=1)
    own, lent = fixed(speaker), fixed(speaker)._weights
    assert lent and all(weight.dtype == torch.bfloat16 for weight in lent.values())
    assert any("lm_head" in name for name in lent)
    assert not any("embed" in name or "norm" in name or "wte" in name for name in lent)
    with torch.no_grad():
        for known in own._passes.values():
            found = own._compute(known.given, 64)
            own._weights = {}
            assert torch.equal(own._compute(known.given, 64), found)
            own._weights = lent
    language_model.load_state_dict(model(family, seed=1).state_dict())
    speaker.reset()
    talk(speaker, NAMES, turns=3)
    fresh = dict(own._whole.named_parameters(remove_duplicate=False))
    assert own._weights.keys() == lent.keys()
    assert all(torch.equal(cast, fresh[name].bfloat16()) for name, cast in own._weights.items())


def test_a_model_that_cannot_be_captured_decodes_as_before_and_says_so_once():
    def refuse(*_: object) -> Any:
        tried.append(True)
        raise RuntimeError("called a synchronizing CUDA operation\nCUDA kernel errors might ...")

    language_model, tried = model(), list[bool]()
    with pytest.warns(UserWarning, match="LlamaForCausalLM decodes without CUDA graphs: c") as said:
        talks = talk(with_graphs(language_model, refuse), NAMES, turns=3)
    assert len(said) == len(tried) == 1 and "\n" not in str(said[0].message)
    same(talks, talk(policy(language_model), NAMES, turns=3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        talk(with_graphs(language_model, refuse), NAMES, turns=2)  # the next iteration's policy
    assert len(tried) == 1


def test_few_graphs_are_kept_and_those_in_use_stay(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(graphs, "MOST_GRAPHS", 2)
    monkeypatch.setattr(graphs, "PATIENCE", 1)
    speaker = policy()
    talk(speaker, NAMES, turns=1)
    own = Graphs(speaker.model, speaker._cache, stepwise)
    asked = [(0,), (3,), (0,), (5,), (0,)]  # one row, four, one, eight, one
    with torch.no_grad():
        for rows in asked:
            found = own.logits([Row(row, 3, 1) for row in rows], [7 for _ in rows], 6)
            assert found is not None and found.shape == (len(rows), len(tokenizer()))
    assert [count for count, _ in own._passes] == [8, 1]
    assert own.served == len(asked)


def test_what_has_no_fixed_shape_is_left_to_an_ordinary_pass():
    speaker = policy()
    own = Graphs(speaker.model, speaker._cache, stepwise)
    talk(speaker, NAMES, turns=1)
    for _ in range(graphs.PATIENCE + 1):
        assert own.logits([Row(0, 3, 1), Row(1, 3, 2)], [7, 7], 5) is None  # one reads
        assert own.logits([Row(graphs.MOST_ROWS, 3, 1)], [7], 5) is None  # too many
    assert not own._passes and own.served == 0


def test_a_processor_decodes_without_graphs():
    assert policy()._graphs is None


GPU = (
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_tokens_are_followed_by_the_same_logits_pass_by_pass(family: str, device: str):
    language_model = model(family).to(device)  # type: ignore[arg-type]  # transformers' annotation
    speaker, ordinary = (policy(language_model) for _ in range(2))
    if device == "cpu":
        speaker._graphs = Graphs(language_model, speaker._cache, stepwise)
    ordinary._graphs = None
    near = 0.1 if device == "cuda" else 1e-4
    passes = 40
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("error", message=".*without CUDA graphs")
        for seed in (1, 2):
            for one in (speaker, ordinary):
                one._slots = {name: Slot(row) for row, name in enumerate(NAMES)}
                for slot in one._slots.values():
                    slot.ids = [4 + slot.row] * (30 + 7 * slot.row)
            for step in range(passes):
                found, expected = (
                    one._forward(list(one._slots.values())) for one in (speaker, ordinary)
                )
                torch.testing.assert_close(found, expected, atol=near, rtol=near)
                for one in (speaker, ordinary):
                    for slot in one._slots.values():
                        slot.ids.append(5 + (7 * step + slot.row) % 200)
            language_model.load_state_dict(model(family, seed=seed).state_dict())
            speaker.reset()
            ordinary.reset()
    # the first pass reads; then one shape is asked for, and once more in the store that is kept
    assert fixed(speaker).served == 2 * (passes - 1 - (graphs.PATIENCE - 1))
