"""What `lmenvs bench engine` plays on: a made-up conversation, and models of any size (torch).

Every turn adds exactly 40 new tokens to the prompt, whatever was answered, and an answer has up to
8 tokens. How long answers are is set in the model itself, so that every sampler meets the same: the
output layer has a bias that is `-1e4` on control tokens, and on the stop token what gives it about
the wanted probability (the other logits of random weights are nearly equal), or `-1e4` too.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from agents.chat import PLAIN_END, PLAIN_ROLES
from agents.tiny import PAD
from lmenvs.core import TextEnv
from lmenvs.outcome import Outcome

NEW_TOKENS = 40  # of each turn: observation and control tokens
ANSWER = 8  # tokens of an answer at most, the stop token included
VOCABULARY = 2048
NEVER = -1e4  # a logit that is never sampled, and no infinity to make a NaN of
CONTROL = 5  # the first ids: padding, the stop token, three roles
_WORDS = [f"w{number}" for number in range(VOCABULARY - CONTROL)]


class Talk(TextEnv):
    """Words without meaning, as many as make every turn's prompt 40 tokens longer.

    Args:
        turns: How long an episode is.
        mixed: Episodes of 2 to `2 * turns` turns instead, drawn with the task.
    """

    instructions = "w1 w2 w3 w4"

    def __init__(self, turns: int, mixed: bool = False):
        super().__init__()
        self._turns, self._mixed, self._limit = turns, mixed, turns
        self._said = np.random.default_rng(0)

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        self._limit = int(task.integers(2, 2 * self._turns + 1)) if self._mixed else self._turns
        self._said = task
        # the marks of system, user and assistant, and the instructions
        return self._say(NEW_TOKENS - 3 - len(self.instructions.split()))

    def _play(self, action: str) -> Outcome:
        # the marks of user and assistant; a stop token where the answer reached its limit
        cut = len(action.split()) == ANSWER
        text = self._say(NEW_TOKENS - 2 - cut)
        return Outcome(text, terminated=self.turn >= self._limit)

    def _say(self, count: int) -> str:
        return " ".join(_WORDS[i] for i in self._said.integers(len(_WORDS), size=count))

    def progress(self) -> float:
        """Nothing is to be reached."""
        return 0.0

    def state_key(self) -> str:
        """The turn is all that is told."""
        return ""


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word, and the tokens of the plain chat format."""
    special = [PAD, PLAIN_END, *PLAIN_ROLES]
    words = {word: number for number, word in enumerate([*special, *_WORDS])}
    inner = Tokenizer(models.WordLevel(words, unk_token=PAD))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.add_special_tokens(special)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token=PAD, eos_token=PLAIN_END, padding_side="left"
    )


def make_model(
    *,
    hidden: int = 192,
    layers: int = 4,
    heads: int = 6,
    key_heads: int = 2,
    inner: int = 512,
    context: int = 8192,
    vocabulary: int = VOCABULARY,
    stop: float = 0.0,
    seed: int = 0,
) -> Qwen2ForCausalLM:
    """A Qwen2 with random weights from `seed`; the defaults give 2.0 million parameters.

    Args:
        hidden: Width of the residual stream.
        layers: Transformer blocks.
        heads: Query heads.
        key_heads: Key and value heads.
        inner: Width inside the feed-forward layers.
        context: Longest sequence in tokens.
        vocabulary: Rows of the embedding; those without a word are never sampled.
        stop: The probability of the stop token at every token, about; 0 makes it impossible.
        seed: Seeds the weights; the global generator is left as it was.
    """
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(seed)
        model = Qwen2ForCausalLM(config).eval()
    head = torch.nn.Linear(hidden, vocabulary)
    head.weight = model.get_input_embeddings().weight  # type: ignore[assignment]  # a Parameter
    head.bias.requires_grad_(False)
    with torch.no_grad():
        head.bias.zero_()
        head.bias[:CONTROL] = NEVER
        head.bias[VOCABULARY:] = NEVER
        if stop:
            head.bias[1] = math.log(len(_WORDS) * stop / (1 - stop))
    model.set_output_embeddings(head)
    return model
