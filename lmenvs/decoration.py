"""Reading what players write: an answer without what they like to put around it."""

_BEFORE = "\"'`* "
_BEHIND = _BEFORE + ".!"


def bare(text: str) -> str:
    r"""The text in lower case and single-spaced, without quotes, asterisks and a full stop around.

    A full stop in front stays, since `.5` is not 5.

    >>> bare(" **Move  LEFT.**\n"), bare("'stop!'"), bare("left or right"), bare(".5")
    ('move left', 'stop', 'left or right', '.5')
    """
    return " ".join(text.lower().split()).lstrip(_BEFORE).rstrip(_BEHIND)
