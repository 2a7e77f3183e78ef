from pathlib import Path

import torch
from pytest import approx
from transformers import AutoModelForCausalLM, AutoTokenizer

from agents import tiny
from agents.chat import Chat

TEXTS = [
    "-= Kitchen =-\nYou see a coin.\nCommands: go east, go west, take coin",
    "-= Cellar =-\nYou see nothing.\nCommands: go east",
] * 20


def test_phrases_that_repeat_are_one_token_each():
    tokenizer = tiny.make_tokenizer([*TEXTS, *[" go east", " take coin"] * 20])
    for phrase in (" go east", " take coin", ", go west", "\n-= Kitchen =-"[1:]):
        assert len(tokenizer.encode(phrase)) == 1, phrase
    # a word has the same token in an answer as after a colon
    listed = tokenizer.encode("Commands: go east")
    assert Chat(tokenizer).encode_action("go east") == [listed[-1], tokenizer.eos_token_id]


def test_the_vocabulary_is_bounded_and_still_holds_every_text():
    tokenizer = tiny.make_tokenizer(TEXTS, vocabulary_size=270)
    assert len(tokenizer) == 270
    strange = "go naïve 日本 🎲\n\t\x00"
    assert tokenizer.decode(tokenizer.encode(strange)) == strange


def test_special_tokens_come_first_and_say_what_they_are():
    tokenizer = tiny.make_tokenizer(TEXTS)
    names = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    assert tokenizer.convert_tokens_to_ids(names) == [0, 1, 2, 3, 4]
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (0, 1)
    assert tokenizer.padding_side == "left"


def test_the_default_model_has_a_million_parameters():
    tokenizer = tiny.make_tokenizer(TEXTS)
    count = sum(weight.numel() for weight in tiny.make_model(tokenizer).parameters())
    words = len(tokenizer) * 160
    assert 0.9e6 < count + (1536 - len(tokenizer)) * 160 < 1.4e6
    assert count > words  # more than the embeddings alone


def test_a_seed_gives_the_weights_and_touches_no_other_generator():
    tokenizer = tiny.make_tokenizer(TEXTS)
    state = torch.random.get_rng_state()
    models = [tiny.make_model(tokenizer, hidden=16, layers=1, heads=2, seed=s) for s in (3, 3, 4)]
    assert torch.equal(torch.random.get_rng_state(), state)
    first, again, other = (m.lm_head.weight for m in models)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert not models[0].training


def test_spelled_words_begin_near_those_that_share_letters_at_the_same_places():
    words = ["crane", "crate", "stilt"]
    tokenizer = tiny.make_tokenizer([f" {word}\n" for word in words] * 9)
    ids = [tokenizer.get_vocab()["Ġ" + word] for word in words]
    made = tiny.make_model(tokenizer, hidden=512, layers=1, spelled=True)
    crane, crate, stilt = made.lm_head.weight.detach()[ids] / tiny.SPREAD
    # the blank and four of five letters, and the blank alone, of vectors of length sqrt(512)
    assert torch.dot(crane, crate) / 512 == approx(5 / 6, abs=0.15)
    assert torch.dot(crane, stilt) / 512 == approx(1 / 6, abs=0.15)
    again = tiny.make_model(tokenizer, hidden=512, layers=1, spelled=True)
    assert torch.equal(again.lm_head.weight, made.lm_head.weight)


def test_a_saved_model_is_an_ordinary_folder(tmp_path: Path):
    tokenizer = tiny.make_tokenizer(TEXTS)
    made = tiny.make_model(tokenizer, hidden=16, layers=1, heads=2, context=99)
    tiny.save(made, tokenizer, tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert all(
        torch.equal(a, b) for a, b in zip(made.parameters(), loaded.parameters(), strict=True)
    )
    assert loaded.config.max_position_embeddings == 99
    text = "<|user|>go east<|end|>"
    assert AutoTokenizer.from_pretrained(tmp_path).encode(text) == tokenizer.encode(text)
