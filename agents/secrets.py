"""Secrets stay out of what is shown: specs, addresses and what a server says."""

import re

_LOGIN = re.compile(r"(?<=://)[^/?#\s]*@")
_OPTION = re.compile(r"(?i)([?&][^=&\s]*(?:key|token|secret|password|auth)[^=&\s]*=)[^&\s'\"]+")


def masked(text: str, *secrets: str | None) -> str:
    """The text without what it must not show: a login in an address, options named like a key.

    >>> masked("openai:m@https://me:word@host/v1?api_key=abc&temperature=1")
    'openai:m@https://***@host/v1?api_key=***&temperature=1'

    Args:
        text: What will be shown.
        secrets: What must not be shown wherever it stands.
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return _OPTION.sub(r"\1***", _LOGIN.sub("***@", text))
