"""What the city and its people are called, and how a city is guessed."""

import re
from collections.abc import Sequence

_CITY = r"(?:city|place|town|metropolis)"
_PEOPLE = r"(?:people|locals|residents|inhabitants|citizens|they|someone|everyone|everybody)"


def _pairs(pairs: Sequence[tuple[str, str]]) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in pairs)


CITY_WORDS = _pairs(
    [
        (rf"\b(?:the|this|that|your|hidden|secret|mystery) (?:hidden "
         rf"|secret )?{_CITY}(?! of\b)", "it"),
        (r"\bit (?:that |which )?you (?:are thinking (?:of|about)|have in mind|had in mind)\b",
         "it"),
        (r"\b(country|nation) (?:that |which |where |in which )?(?:it|this) (?:is|lies|sits"
         r"|belongs)(?: (?:located|situated))?(?: (?:in|to))?(?= |$)", r"country"),
        (r" (?:where|in which|that|which) (?:it|this) (?:is|lies)(?: (?:located|situated|found"
         r"|in))*$", ""),
        (r"^does it (?:serve|act|function) as ", "is it "),
        (r" by (?:its |the |most )?(?:residents|locals|inhabitants|people|citizens)(?: there)?$",
         " there"),
        (r"\b(do|does|would|can|could) (?:a |an )?(?:i|you|we|one|tourists?|visitors?|travell?ers?)"
         r"(?= (?:use|pay|need|spend|speak|hear|find|see|visit|go"
         r"|describe|characterize))", r"\1 people"),
        (r"^(.*\bcity) s\b", r"its"),
        (r"\bit s\b", "its"),
        (r"\b(?:located|situated|found|positioned|somewhere|based|geographically) ?", ""),
        (rf"\b(do|does|did|would) (?:the )?(?:most |local |many )?{_PEOPLE}"
         r"(?: there| in it| from there| who live there| living there| of it)? ", r"\1 people "),
        (r"^(?:would|could|can|do) people (?:find|visit) (?:it|this) ", "is it "),
        (r"^(?:does|would) it (?:lie|sit|stand|fall|rest) ", "is it "),
        (r"^(?:could|would|might|may|can) it be ", "is it "),
        (r"^(?:was|were|is|are) (?:it|this|that)\b", "is it"),
        (rf"^is it (?:a |the |some )?{_CITY}(?: that is| which is)? "
         r"(?=in |on |by |near |at |outside |north |south |with |known |famous )", "is it "),
        (r"\b(?:in|at|within|inside) it$", "there"),
        (r"\bin it (?=\w)", "there "),
        (r" +", " "),
        (r" $", ""),
    ]
)  # fmt: skip
"""What the city and its people are called, made one word each."""

STATEMENT = re.compile(r"^(?:it is|this is|that is) (.+)$")

GUESSES = re.compile(
    r"^(?:is it|it is|is this|(?:it )?(?:must|has to|should) be|(?:i|we) (?:would |will "
    r"|am going to "
    r"|want to )?(?:guess|think|believe|say|bet|suspect)(?: that| on| with)?(?: it)?(?: is| be)?"
    r"|(?:final |last |best )?(?:guess|answer)(?: it)?(?: is| be)?(?: it is)?|is (?:final )?"
    r"(?:answer|guess|city"
    r"|(?:also |formerly |previously |once )?known as|it called"
    r"|it named)|are you(?: thinking of| in)?|called|city of) "
)
"""What may stand in front of the name of a city."""
