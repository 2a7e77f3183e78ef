"""Text becomes tokens here and nowhere else: how a conversation reads to a language model.

What the sampler was given is authoritative: the next prompt is the last prompt, the ids that were
sampled, and the ids of what is new. `Chat.delta` renders only what is new, so earlier turns are
never encoded again. Where a template would render the past differently once it is past (one that
drops earlier thinking), the delta is impossible and `delta` returns None: the prompt is then
rebuilt, `fresh`. So it is for a model that remembers only the last turns (`memory`).
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from lmenvs.types import Action, Episode, Message, Turn

PLAIN_ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
PLAIN_END = "<|end|>"
KEPT, LONGEST_KEPT = 50_000, 1_000  # texts, and their letters, whose ids are kept: games repeat
SETTINGS = "chat.json"  # beside the model: what the tokenizer's files have no place for


class Chat:
    """The conversation format of one tokenizer: its own chat template, or the plain one of `tiny`.

    The plain format is one special token per role, the text, and for the assistant the stop token:
    `<|system|>...<|user|>...<|assistant|>...<|end|><|user|>...`.

    Args:
        tokenizer: A Hugging Face tokenizer, with a chat template or with the plain format's tokens.
        context: The longest sequence that its model reads, in tokens; None where that is unknown.
        memory: How many turns before the present one a prompt holds; None is all of them. With 0
            the model reads its instructions and the last observation: enough where that tells the
            whole state, and far less to read.

    Raises:
        ValueError: if the tokenizer has neither, or no end-of-sequence token.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        context: int | None = None,
        memory: int | None = None,
    ):
        if memory is not None and memory < 0:
            raise ValueError(f"memory {memory}; expected a number of turns >= 0, or None for all")
        self.tokenizer, self.context, self.memory = tokenizer, context, memory
        self._known: dict[str, tuple[int, ...]] = {}
        stop_id = tokenizer.eos_token_id
        if not isinstance(stop_id, int):
            raise ValueError("the tokenizer has no eos_token, so no turn could end; set one")
        self.stop_id = stop_id
        vocabulary = tokenizer.get_vocab()
        self._roles = {name[2:-2]: vocabulary[name] for name in PLAIN_ROLES if name in vocabulary}
        self.plain = len(self._roles) == len(PLAIN_ROLES)
        if not self.plain and not tokenizer.chat_template:
            raise ValueError(
                "the tokenizer has no chat template and not the tokens of the plain format "
                f"({' '.join(PLAIN_ROLES)}); use an instruction-tuned model or set chat_template"
            )

    def start(self, messages: Sequence[Message]) -> list[int]:
        """The ids of a whole conversation, ready for the next assistant message.

        Assistant messages that carry sampled ids keep them where the format allows it.
        """
        messages = self._remembered(messages)
        if not self.plain:
            return list(self._encode(self._render(messages, prompt=True)))
        ids: list[int] = []
        for message in messages:
            ids += self._plain(message)
        return [*ids, self._roles["assistant"]]

    def delta(self, messages: Sequence[Message], answered: int, stopped: bool) -> list[int] | None:
        """The ids to append once message `answered` (the assistant's) was sampled.

        Args:
            messages: The conversation, `messages[answered]` included and at least one after it.
            answered: Index of the assistant message whose ids the prompt already ends with.
            stopped: Whether those ids end with the stop token; if not, it is part of the delta.

        Returns:
            The new ids, up to and including the prompt for the next answer; None if the format
            renders the past differently now, or some of it is forgotten, so that only a fresh
            prompt is right.
        """
        if len(self._remembered(messages)) < len(messages):
            return None
        if self.plain:
            ids = [] if stopped else [self.stop_id]
            for message in messages[answered + 1 :]:
                ids += self._plain(message)
            return [*ids, self._roles["assistant"]]
        before = self._render(messages[: answered + 1], prompt=False)
        after = self._render(messages, prompt=True)
        stop = str(self.tokenizer.eos_token)
        if not after.startswith(before) or stop not in before:
            return None
        tail = before[before.rindex(stop) + len(stop) :]
        return [*([] if stopped else [self.stop_id]), *self._encode(tail + after[len(before) :])]

    def _remembered(self, messages: Sequence[Message]) -> Sequence[Message]:
        """The instructions, and the last turns of the conversation."""
        told = [index for index, message in enumerate(messages) if message.role == "user"]
        if self.memory is None or len(told) <= self.memory + 1:
            return messages
        return [*messages[: told[0]], *messages[told[-1 - self.memory] :]]

    def save(self, model: PreTrainedModel, folder: str | Path) -> None:
        """Write model and tokenizer as one folder that `from_pretrained` loads (LoRA: the
        adapter).

        Raises:
            ValueError: for weights that are not finite: nothing could go on from them.
        """
        for name, weight in model.named_parameters():
            if not bool(weight.isfinite().all()):
                raise ValueError(
                    f"expected finite weights, got others in {name}: the model has diverged; begin "
                    "anew from an earlier checkpoint with a smaller learning rate"
                )
        model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        if self.memory is not None:
            (Path(folder) / SETTINGS).write_text(json.dumps({"memory": self.memory}) + "\n")

    def decode(self, ids: Sequence[int]) -> str:
        """The text of sampled ids, without the stop token."""
        return self.spoken(ids).rstrip()

    def spoken(self, ids: Sequence[int]) -> str:
        """The same with white space at its end: a line break may be what an answer stops at."""
        kept = [i for i in ids if i != self.stop_id]
        return str(self.tokenizer.decode(kept, skip_special_tokens=True)).lstrip()

    def encode_action(self, text: str) -> list[int]:
        """The ids of an action that no model sampled (a demonstration), the stop token included.

        The plain format writes a space before the text, so that a word has the same token at the
        start of an action as within an observation; `decode` strips it.
        """
        return [*self._encode(" " + text if self.plain else text), self.stop_id]

    def encode_episode(self, episode: Episode) -> Episode:
        """The same episode with prompt and action ids where they are missing.

        Turns that were sampled keep their ids; the final observation stays text. A prompt is
        rebuilt where it stood behind a turn without ids.
        """
        if all(turn.action.token_ids for turn in episode.turns):
            return episode
        messages = [Message("system", episode.instructions)]
        turns: list[Turn] = []
        seen = False  # whether a sampler saw exactly these ids up to here
        for turn in episode.turns:
            messages.append(Message("user", turn.observation))
            action = turn.action
            seen = bool(action.token_ids) and (seen or action.fresh)
            if not seen:
                action = self._with_ids(action, messages)
            turns.append(replace(turn, action=action))
            messages.append(Message("assistant", action.text, action))
        return replace(episode, turns=tuple(turns))

    def _with_ids(self, action: Action, messages: Sequence[Message]) -> Action:
        prompt = None
        before = messages[-2].action if len(messages) > 2 else None
        if before is not None:
            stopped = before.token_ids[-1:] == (self.stop_id,)
            prompt = self.delta(messages, len(messages) - 2, stopped)
        return replace(
            action,
            prompt_ids=tuple(self.start(messages) if prompt is None else prompt),
            token_ids=action.token_ids or tuple(self.encode_action(action.text)),
            fresh=prompt is None,
        )

    def final_ids(self, episode: Episode) -> list[int] | None:
        """The ids that follow the last action when an episode was cut: the final observation.

        A value read behind them is the bootstrap of a truncated episode. None where they follow
        nothing, because the prompt would be rebuilt: see `final_prompt`.
        """
        last = episode.turns[-1].action
        if last.finish == "context":
            return []
        messages = _whole(episode)
        stopped = last.token_ids[-1:] == (self.stop_id,)
        return self.delta(messages, len(messages) - 2, stopped)

    def final_prompt(self, episode: Episode) -> list[int]:
        """The whole prompt with which an episode that was cut would have gone on."""
        return self.start(_whole(episode))

    def _plain(self, message: Message) -> list[int]:
        if message.role not in self._roles:
            raise ValueError(f"role {message.role!r}; the plain format has {sorted(self._roles)}")
        ids = [self._roles[message.role]]
        if message.action is not None and message.action.token_ids:
            ids += message.action.token_ids
            return ids if ids[-1] == self.stop_id else [*ids, self.stop_id]
        if message.role == "assistant":
            return ids + self.encode_action(message.content)
        return [*ids, *self._encode(message.content)]

    def _encode(self, text: str) -> Sequence[int]:
        if len(text) > LONGEST_KEPT:
            return self._tokenised(text)
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= KEPT:
                self._known.clear()
            known = self._known[text] = self._tokenised(text)
        return known

    def _tokenised(self, text: str) -> tuple[int, ...]:
        clean = text.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate has no bytes
        # in the plain format the text of a message never becomes a control token; a template writes
        # its control tokens as text
        return tuple(
            self.tokenizer.encode(clean, add_special_tokens=False, split_special_tokens=self.plain)
        )

    def _render(self, messages: Sequence[Message], *, prompt: bool) -> str:
        turns = [{"role": m.role, "content": m.content} for m in messages]
        rendered = self.tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=prompt
        )
        return str(rendered)


def memory_of(folder: str | Path) -> int | None:
    """How many turns back the model of a folder reads; None is all of them.

    Raises:
        ValueError: if the folder's settings are none.
    """
    file = Path(folder) / SETTINGS
    if not file.is_file():
        return None
    try:
        memory = json.loads(file.read_text(encoding="utf-8"))["memory"]
        if not isinstance(memory, int) or memory < 0:
            raise ValueError(f"memory {memory!r}")
        return memory
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{file}: expected {{"memory": a number of turns}}, got something else ({error}); '
            "write it again or delete it: without it the model reads the whole conversation"
        ) from error


def _whole(episode: Episode) -> list[Message]:
    """An episode's conversation, the final observation at its end."""
    messages = [Message("system", episode.instructions)]
    for turn in episode.turns:
        messages.append(Message("user", turn.observation))
        messages.append(Message("assistant", turn.action.text, turn.action))
    return [*messages, Message("user", episode.final_observation)]
