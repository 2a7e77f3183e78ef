"""Models that say nothing of what is odd about them are found out by trying."""

from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertLMHeadModel,
    LlamaModel,
    PhimoeConfig,
    PhimoeForCausalLM,
    PreTrainedModel,
    RobertaConfig,
    RobertaForCausalLM,
)

from agents.chat import Chat
from agents.lm import LMPolicy
from tests.support.language import interrupted_after, model, policy, tokenizer

SHAPE: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
SHAPE |= {"vocab_size": len(tokenizer()), "intermediate_size": 48, "bos_token_id": None}


class Falling(LlamaModel):
    """A decoder whose code does not bear a cache of ours."""

    def forward(  # type: ignore[override]
        self,
        input_ids: Any,
        position_ids: Any = None,
        past_key_values: Any = None,
        **others: Any,
    ) -> Any:
        if past_key_values is not None:
            raise RuntimeError("sizes must match\nat dimension 3")
        return super().forward(input_ids, position_ids=position_ids, **others)


def roberta() -> PreTrainedModel:
    return RobertaForCausalLM(RobertaConfig(**SHAPE, is_decoder=True, pad_token_id=0))


def bert() -> PreTrainedModel:
    return BertLMHeadModel(BertConfig(**SHAPE, is_decoder=True))


def phimoe() -> PreTrainedModel:
    return PhimoeForCausalLM(
        PhimoeConfig(**SHAPE, num_key_value_heads=1, num_local_experts=2, sliding_window=12)
    )


def falling() -> PreTrainedModel:
    made = model()
    made.model = Falling(made.config)  # type: ignore[assignment]
    return made


ODD = {
    "other probabilities": [roberta, bert],
    "over which window": [phimoe],
    "RuntimeError: sizes must match at dimension 3": [falling],
}


@pytest.mark.parametrize(("why", "make"), [(why, one) for why, many in ODD.items() for one in many])
def test_a_model_that_reads_pieces_otherwise_than_the_whole_is_refused_in_one_line(
    why: str, make: Any
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        odd = make().eval()
    for _ in range(2):  # it is not taken for proven the second time
        with pytest.raises(ValueError, match=why) as refusal:
            LMPolicy(odd, Chat(tokenizer()))
        assert "\n" not in str(refusal.value)


def test_a_model_is_tried_once_and_the_trial_leaves_no_trace() -> None:
    language_model = model()
    state = torch.random.get_rng_state()
    with interrupted_after(0) as counted:
        first = policy(language_model)
    tried = counted.forwards
    with interrupted_after(0) as counted:
        policy(language_model)
    assert (tried, counted.forwards) == (3, 0)
    assert first.forwarded_tokens == 0
    assert torch.equal(torch.random.get_rng_state(), state)


def test_weights_that_have_become_numbers_no_more_are_no_reason_to_refuse() -> None:
    broken = model()
    with torch.no_grad():
        next(broken.parameters()).fill_(torch.nan)
    assert policy(broken).forwarded_tokens == 0
