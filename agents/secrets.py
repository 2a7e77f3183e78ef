"""Secrets stay out of what is shown or written: specs, addresses, arguments, what a server says.

A secret is a login in an address, a value whose name ends like a key's, what follows `Bearer`, a
word of the shape that the large providers give their keys, and whatever the environment variables
with such names hold (LMENVS_API_KEY, OPENAI_API_KEY, HF_TOKEN, ...).
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

HIDDEN = "***"
_NAMES = "key|apikey|token|secret|password|passwd|pwd|auth|authorization|credentials?|signature|sig"
# the name ends in one of them: max_new_tokens, token_baseline and keyboard are no secrets
_NAME = rf"(?:[\w.-]*[_.-])?(?:{_NAMES})"
_LOGIN = re.compile(r"(?<=://)[^\s\"'<>]*@")
# in a query, a call, JSON: the value ends where the next thing begins
_OPTION = re.compile(
    rf"(?i)(?<![\w.-])({_NAME}(?:\s*=|[\"']\s*:)\s*)"
    r"(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^&\s'\",;})\]<>]+)"
)
_ARGUMENT = re.compile(rf"(?i)(--?{_NAME}\s+)(?!-)\S+")
_HEADER = re.compile(
    r"(?i)((?:api[_-]?key|authorization|password):\s*(?:bearer |basic )?)[^\s'\"]+"
)
_BEARER = re.compile(r"(?i)\b(bearer )[\w.~+/=-]{8,}")
_SHAPE = re.compile(
    r"\b(?:sk-[\w-]{16,}|hf_\w{16,}|gh[pousr]_\w{20,}|xox[a-z]-[\w-]{10,}|AKIA\w{16}|AIza[\w-]{30,})"
)
_SHORTEST = 8  # a shorter value would be found in words that have nothing to do with it


def masked(text: str, *secrets: str | None) -> str:
    """The text without what it must not show.

    >>> masked("openai:m@https://me:word@host/v1?api_key=abc&temperature=1")
    'openai:m@https://***@host/v1?api_key=***&temperature=1'
    >>> masked("train --api-key abc --max-new-tokens 16 --key=abc")
    'train --api-key *** --max-new-tokens 16 --key=***'

    Args:
        text: What will be shown.
        secrets: What must not be shown wherever it stands, besides what is known to be secret.
    """
    for secret in (*secrets, *_of_environment()):
        if secret:
            escaped = json.dumps(secret)[1:-1]
            text = text.replace(secret, HIDDEN).replace(escaped, HIDDEN)
    text = _OPTION.sub(_with_quotes, _LOGIN.sub(f"{HIDDEN}@", text))
    for pattern in (_ARGUMENT, _HEADER, _BEARER):
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return _SHAPE.sub(HIDDEN, text)


def masked_arguments(arguments: Sequence[str]) -> list[str]:
    """A command's arguments without secrets, that in `--api-key VALUE` included."""
    shown: list[str] = []
    follows = False
    for argument in arguments:
        shown.append(HIDDEN if follows and not argument.startswith("--") else masked(argument))
        follows = argument.startswith("-") and _is_secret(argument.lstrip("-"))
    return shown


def masked_data(value: Any, *, hidden: bool = False) -> Any:
    """Plain data (what JSON holds) without secrets; all text under a name like a key's is one."""
    if isinstance(value, str):
        return HIDDEN if hidden and value else masked(value)
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {
            masked(str(name)): masked_data(item, hidden=hidden or _is_secret(str(name)))
            for name, item in items
        }
    if isinstance(value, list | tuple):
        return [masked_data(item, hidden=hidden) for item in cast("Sequence[Any]", value)]
    return value


def _is_secret(name: str) -> bool:
    return re.fullmatch(rf"(?i){_NAME}", name) is not None


def hidden_values(text: str) -> str:
    """The text without the values of secret environment variables; all else stays as it is.

    For text that is data: an observation may well say `key=blue`.
    """
    for secret in _of_environment():
        for form in (secret, json.dumps(secret)[1:-1]):
            if form in text:
                text = text.replace(form, HIDDEN)
    return text


def _of_environment() -> list[str]:
    """What the environment variables named like a key hold, the longest first."""
    found = {
        value
        for name, value in os.environ.items()
        # PWD is where the shell stands, no password: most paths begin with it
        if len(value) >= _SHORTEST and name != "PWD" and _is_secret(name)
    }
    return sorted(found, key=len, reverse=True)


def _with_quotes(match: re.Match[str]) -> str:
    value = match[0][len(match[1]) :]
    quote = value[0] if value[:1] in ("'", '"') else ""
    return f"{match[1]}{quote}{HIDDEN}{quote}"
