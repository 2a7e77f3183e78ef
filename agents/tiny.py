"""A tiny causal language model made on the spot (torch): no download, an ordinary Hugging Face
folder.

The tokenizer is byte-level BPE trained on the texts the model will read, so that common phrases are
single tokens and every Unicode string still encodes; the model is a small Llama with random
weights.
"""

from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from .chat import PLAIN_END, PLAIN_ROLES

PAD = "<|pad|>"
SPREAD = 0.1
"""Of the vectors of spelled tokens; with 0.02, as other weights, Wordle was learned more slowly."""
PHRASE = r"\n?[,;]?[^,;:.!?\n]+|."
"""What may become one token: a phrase between punctuation marks, with the comma or line break
before it.

Games repeat themselves: "go east" or "-= Kitchen =-" as one token makes a turn about half as long
as word by word, and training as much faster; texts that do not repeat fall apart into words and
letters.
"""


def make_tokenizer(texts: Iterable[str], vocabulary_size: int = 1536) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer with the plain chat format's special tokens.

    Args:
        texts: What the model will read and write; each phrase that is frequent becomes one token.
        vocabulary_size: At most this many tokens; fewer where the texts have fewer phrases.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PHRASE), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[PAD, PLAIN_END, *PLAIN_ROLES],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=PLAIN_END, padding_side="left"
    )


def make_model(
    tokenizer: PreTrainedTokenizerFast,
    *,
    hidden: int = 160,
    layers: int = 3,
    heads: int = 4,
    context: int = 2048,
    spelled: bool = False,
    seed: int = 0,
) -> LlamaForCausalLM:
    """A Llama with random weights from `seed`; the defaults give 1.1 million parameters.

    Args:
        tokenizer: Gives the vocabulary and the special ids.
        hidden: Width of the residual stream.
        layers: Transformer blocks.
        heads: Attention heads; must divide `hidden`.
        context: Longest sequence in tokens.
        spelled: Whether the vectors of tokens begin as the sums of vectors of their letters, one
            for each letter at each place, so that words that share letters are near each other.
        seed: Seeds the weights; the global generator is left as it was.
    """
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.get_vocab()[PAD],
        bos_token_id=None,
        eos_token_id=tokenizer.get_vocab()[PLAIN_END],
    )
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(seed)
        model = LlamaForCausalLM(config)
        if spelled:
            _spell(model.lm_head.weight.data, tokenizer)  # tied to the embeddings
        return model.eval()


def _spell(weights_VD: Tensor, tokenizer: PreTrainedTokenizerFast) -> None:
    """As fastText's words (Bojanowski et al., 2017), with places in the stead of n-grams."""
    texts = [str(tokenizer.decode([token])) for token in range(len(weights_VD))]
    places_V = [list(enumerate(text or str(token))) for token, text in enumerate(texts)]
    known = {pair: row for row, pair in enumerate(sorted({p for pairs in places_V for p in pairs}))}
    vectors = torch.randn(len(known), weights_VD.shape[1]) * SPREAD
    for token, pairs in enumerate(places_V):
        rows = [known[pair] for pair in pairs]
        weights_VD[token] = vectors[rows].sum(0) / len(rows) ** 0.5


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, path: str | Path) -> None:
    """Write an ordinary `from_pretrained` folder."""
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
