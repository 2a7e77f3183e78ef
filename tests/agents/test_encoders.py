from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel

from agents.encoders import TextEncoder, told
from tests.support.language import tokenizer
from tests.support.training import beginner

_KEPT: list[TemporaryDirectory[str]] = []


@cache
def encoder_folder(kind: str = "bert") -> str:
    """A pretrained encoder, made on the spot."""
    _KEPT.append(TemporaryDirectory(prefix="lmenvs-tests-"))
    shape: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    shape |= {"intermediate_size": 24, "max_position_embeddings": 40, "initializer_range": 0.3}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "bert":
            model = BertModel(BertConfig(vocab_size=len(tokenizer()), **shape))
        else:
            model = RobertaModel(
                RobertaConfig(vocab_size=len(tokenizer()), pad_token_id=1, **shape)
            )
    model.save_pretrained(_KEPT[-1].name)
    tokenizer().save_pretrained(_KEPT[-1].name)
    return _KEPT[-1].name


KINDS = ["bert", "roberta", ""]


def encoder(kind: str) -> TextEncoder:
    return TextEncoder(beginner()[0], encoder_folder(kind) if kind else "")


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_text_has_the_same_vector_in_whatever_company(kind: str):
    one, texts = encoder(kind), ["Total 3.", "Say roll or stop. Total 12.", ""]
    together = one.embed(one.tokens(texts, tokenizer()))
    alone = torch.cat([one.embed(one.tokens([text], tokenizer())) for text in texts])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert together.shape == (3, one.width) and not torch.allclose(together[0], together[1])


@torch.no_grad()
def test_of_a_text_that_is_too_long_the_end_is_read():
    for kind in ("bert", "roberta"):
        one = encoder(kind)
        texts = [
            " ".join([begin, *["Total 12."] * 40]) for begin in ("go east, go west", "Total 3.")
        ]
        first, second = one.embed(one.tokens(texts, tokenizer()))
        torch.testing.assert_close(first, second)


def test_what_a_critic_reads_is_the_last_turns_and_nothing_later():
    observations, actions = ["a", "b", "c"], ["left", "right"]
    assert told("Go.", observations, actions, 0) == "c"
    assert told("Go.", observations, actions, 1) == "b\n> right\nc"
    assert told("Go.", observations, actions, 9) == "a\n> left\nb\n> right\nc"
    assert told("Go.", observations, actions, None) == "Go.\na\n> left\nb\n> right\nc"


def test_a_folder_without_an_encoder_is_refused(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="cannot load an encoder"):
        TextEncoder(beginner()[0], str(tmp_path))
