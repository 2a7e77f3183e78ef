"""Tiny language models of several families, their conversations and their episodes (torch)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from agents import tiny
from agents.chat import Chat
from agents.lm import LMPolicy
from agents.protocols import Conversation
from agents.sampling import Sampling
from lmenvs.types import Action, Episode, Message, Turn

FULL_ATTENTION = ("gpt2", "llama", "qwen2", "qwen3")
FAMILIES = (*FULL_ATTENTION, "mistral", "gemma3")  # the last two look back over a window
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXTS = ("Say roll or stop.", "Total 3.", "Total 12.", " roll", " stop", "go east, go west")


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """The plain format's, trained on a handful of phrases."""
    return tiny.make_tokenizer(TEXTS * 4, 320)


@cache
def chatml_tokenizer() -> PreTrainedTokenizerFast:
    """One with a chat template of the ChatML kind, and without the plain format's tokens."""
    made = tiny.make_tokenizer(TEXTS * 4, 320)
    text = made.backend_tokenizer.to_str()
    for old, new in (("<|end|>", "<|im_end|>"), ("<|system|>", "<|im_start|>")):
        text = text.replace(old, new)
    text = text.replace("<|user|>", "<|u|>").replace("<|assistant|>", "<|a|>")
    backend = type(made.backend_tokenizer).from_str(text)
    chatml = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<|pad|>", eos_token="<|im_end|>"
    )
    chatml.chat_template = CHATML
    return chatml


def chat(template: bool = False) -> Chat:
    return Chat(chatml_tokenizer() if template else tokenizer())


def model(family: str = "llama", *, context: int = 1024, seed: int = 0) -> PreTrainedModel:
    """Two blocks with large weights, so that every token of the past moves every probability."""
    words = len(tokenizer())
    shape: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    shape |= {"vocab_size": words, "intermediate_size": 48, "num_key_value_heads": 1}
    shape |= {"max_position_embeddings": context, "initializer_range": 0.25}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if family == "gpt2":
            config = GPT2Config(
                vocab_size=words,
                n_embd=32,
                n_layer=2,
                n_head=2,
                n_positions=context,
                initializer_range=0.25,
            )
            made: PreTrainedModel = GPT2LMHeadModel(config)
        elif family == "qwen2":
            made = Qwen2ForCausalLM(Qwen2Config(**shape))
        elif family == "qwen3":
            made = Qwen3ForCausalLM(Qwen3Config(**shape, head_dim=16))
        elif family == "mistral":  # every layer looks back over a window
            made = MistralForCausalLM(MistralConfig(**shape, head_dim=16, sliding_window=12))
        elif family == "gemma3":  # one layer over a window, one over everything
            kinds = ["sliding_attention", "full_attention"]
            gemma = Gemma3TextConfig(**shape, head_dim=16, sliding_window=12, layer_types=kinds)
            made = Gemma3ForCausalLM(gemma)
        else:
            made = LlamaForCausalLM(LlamaConfig(**shape))
    with torch.no_grad():  # the stop token is said now and then, not once in 300 tokens
        made.lm_head.weight[tokenizer().eos_token_id] *= 2.5  # type: ignore[index, union-attr]
    return made.eval()


def policy(
    language_model: PreTrainedModel | None = None, *, template: bool = False, tokens: int = 6
) -> LMPolicy:
    return LMPolicy(language_model or model(), chat(template), Sampling(max_new_tokens=tokens))


def observation(name: str, turn: int) -> str:
    """What the world says; its length differs between conversations and turns."""
    draws = np.random.default_rng((sum(map(ord, name)), turn))
    return " ".join(f"Total {number}." for number in draws.integers(99, size=draws.integers(1, 5)))


class Talk:
    """A conversation under way with a world that talks on whatever is said."""

    def __init__(self, name: str):
        self.name = name
        self.messages = [Message("system", "Say roll or stop.")]
        self.actions: list[Action] = []
        self.listen()

    def listen(self) -> None:
        self.messages.append(Message("user", observation(self.name, len(self.actions))))

    def conversation(self, **fields: object) -> Conversation:
        given = {"seed": (sum(map(ord, self.name)), len(self.actions)), **fields}
        return Conversation(self.name, tuple(self.messages), **given)  # type: ignore[arg-type]

    def said(self, action: Action) -> None:
        self.actions.append(action)
        self.messages.append(Message("assistant", action.text, action))
        self.listen()

    @property
    def ids(self) -> list[int]:
        """What the model read and said, since its prompt was last built."""
        ids: list[int] = []
        for action in self.actions:
            ids = ([] if action.fresh else ids) + [*action.prompt_ids, *action.token_ids]
        return ids

    def episode(self, *, truncated: bool = False, rewards: Sequence[float] = ()) -> Episode:
        """The talk so far as an episode."""
        rewards = rewards or [0.0] * len(self.actions)
        turns = tuple(
            Turn(observation(self.name, t), action, rewards[t])
            for t, action in enumerate(self.actions)
        )
        return Episode(
            self.name,
            "lmenvs/Talk-v0",
            0,
            "all",
            "Say roll or stop.",
            turns,
            observation(self.name, len(turns)),
            terminated=not truncated,
            truncated=truncated,
            success=False,
        )


def talk(speaker: LMPolicy, names: Sequence[str], turns: int) -> list[Talk]:
    """These conversations, all of them answered in one call at every turn."""
    talks = [Talk(name) for name in names]
    for _ in range(turns):
        answers = speaker.act([one.conversation() for one in talks])
        for one, action in zip(talks, answers, strict=True):
            one.said(action)
    return talks


@torch.no_grad()
def full_logprobs(language_model: PreTrainedModel, ids: Sequence[int]) -> list[float]:
    """log p(ids[i] | ids[:i]) for i >= 1, by the model's own forward over the whole sequence."""
    logits = language_model(input_ids=torch.tensor([list(ids)])).logits[0].float()
    chosen = torch.log_softmax(logits[:-1], -1).gather(1, torch.tensor(ids)[1:, None])
    return chosen[:, 0].tolist()


def spans(one: Talk) -> Iterator[tuple[int, int, Action]]:
    """(start, end, action) of every action within `one.ids`; no prompt may have been rebuilt."""
    end = 0
    for action in one.actions:
        start = end + len(action.prompt_ids)
        end = start + len(action.token_ids)
        yield start, end, action


def with_random_heads(critic: torch.nn.Module, seed: int = 0) -> None:
    """Give the heads of a critic, which begin at 0, something to say."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in critic.named_parameters():
            if "head" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) / 3)


@contextmanager
def interrupted_after(forwards: int) -> Iterator[SimpleNamespace]:
    """Press Ctrl-C in this process when decoders have run so often; 0 only counts."""
    import signal

    from torch.nn.modules.module import register_module_forward_pre_hook

    seen = SimpleNamespace(forwards=0)

    def count(module: torch.nn.Module, inputs: object) -> None:
        if type(module).__name__ == "LlamaModel":
            seen.forwards += 1
            if seen.forwards == forwards:
                signal.raise_signal(signal.SIGINT)

    hook = register_module_forward_pre_hook(count)
    try:
        yield seen
    finally:
        hook.remove()
