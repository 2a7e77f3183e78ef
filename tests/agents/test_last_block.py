"""The last block computes what is read of it, to the same probabilities, in every architecture."""

from typing import Any

import pytest
import torch
from pytest import approx
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaModel,
    OPTConfig,
    OPTModel,
    PreTrainedModel,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from agents.last_block import find_last_block
from agents.lm import LMPolicy
from agents.models import decoder
from tests.support.language import FAMILIES, model, policy, talk, tokenizer

NAMES = ("a", "bee", "cedar")
SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 1024,
    "initializer_range": 0.25,
}


def made(family: str) -> PreTrainedModel:
    if family in FAMILIES:
        return model(family)
    words = len(tokenizer())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if family == "gptneox":  # attention and feed-forward side by side
            return GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=words, **SHAPE)).eval()
        experts: dict[str, Any] = {"num_experts": 4, "num_experts_per_tok": 2, "head_dim": 16}
        experts |= {"moe_intermediate_size": 24, "num_key_value_heads": 1}
        config = Qwen3MoeConfig(vocab_size=words, **SHAPE, **experts)
        return Qwen3MoeForCausalLM(config).eval()


def said(speaker: LMPolicy) -> tuple[list[int], list[float]]:
    actions = [action for one in talk(speaker, NAMES, turns=3) for action in one.actions]
    ids = [token for action in actions for token in action.token_ids]
    return ids, [logprob for action in actions for logprob in action.logprobs]


@pytest.mark.parametrize("family", [*FAMILIES, "gptneox", "qwen3moe"])
def test_what_is_said_is_the_same_with_a_whole_last_block(family: str):
    language_model = made(family)
    narrow, whole = policy(language_model), policy(language_model)
    assert narrow._last_block is not None
    whole._last_block = None
    ids, logprobs = said(narrow)
    other_ids, other_logprobs = said(whole)
    assert ids == other_ids and logprobs == approx(other_logprobs, abs=1e-5)


def test_the_last_feed_forward_layer_sees_one_token_of_each_conversation():
    language_model = model("llama")
    first, last = (block.mlp for block in decoder(language_model).layers)  # type: ignore[union-attr]
    speaker = policy(language_model)
    seen: dict[Any, list[int]] = {first.up_proj: [], last.up_proj: []}
    for layer, tokens in seen.items():
        layer.register_forward_pre_hook(lambda _, given, t=tokens: t.append(given[0].shape[1]))
    talk(speaker, NAMES, turns=2)
    assert sum(seen[first.up_proj]) == speaker.forwarded_tokens
    assert max(seen[first.up_proj]) > 3 and max(seen[last.up_proj]) == 3


def test_nothing_is_left_of_it_after_a_pass():
    language_model = model("llama")
    talk(policy(language_model), NAMES, turns=1)
    parts = list(language_model.modules())
    assert not any(part._forward_pre_hooks or part._forward_hooks for part in parts)


def test_a_block_that_is_not_known_is_computed_whole():
    opt = OPTModel(
        OPTConfig(hidden_size=16, ffn_dim=16, num_hidden_layers=1, num_attention_heads=2)
    )
    assert find_last_block(opt.decoder, 1) is None  # no feed-forward layer of its own
    shape: dict[str, Any] = {**SHAPE, "vocab_size": 8}
    assert find_last_block(LlamaModel(LlamaConfig(**shape)), 2) is not None
    assert find_last_block(LlamaModel(LlamaConfig(**shape)), 4) is None  # passed twice
