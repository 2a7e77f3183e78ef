"""What a text asks about a hidden object: the parser of Twenty Questions and its table of answers.

A text is cleaned and cut to one question (sentence.py), brought into a normal form (frames.py), and
looked up as a whole: among the phrases of data/object_questions.txt, the names of the objects,
colours, and comparisons of size and weight; failing that once more in plainer words and in parts
(plainer.py). What is not understood as a whole is not answered.
"""

import csv
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from .book import DEPENDS, NO, SIGNS, YES, Book, Question, Refusal, deny, make_question
from .frames import GUESS, OBJECTS, SUBJECTS, framed
from .lexicon import basic, phrase_table, read_data, read_lexicon
from .object_sizes import COLOURS, SIZE_ASKED, Range, read_range, size_question
from .plainer import SYNONYMS, joined, one_word_each, plainer
from .sentence import clean, lemmas, one_sentence, without_fillers

NOT_UNDERSTOOD = Refusal("malformed", "I don't understand the question.")
UNKNOWN = Refusal("unknown", "I don't know about that.")
NOT_YES_OR_NO = Refusal("inadmissible", "I can only answer questions with yes or no.")
_OPEN = re.compile(
    r"^(?:what|where|when|why|who|whose|which|how|name|describe|list|give|tell|spell|explain)\b"
)
_QUESTION = re.compile(r"^(?:be|it|you|of|in|use|by|about|is|are|do|does|can|could|would|will)\b")
# "is it orange" asks for the colour; every other mention of it names the fruit
_ORANGE_COLOUR = re.compile(
    r"^(?:is|was|are|would|could) (?:it|this|that|the object) (?:be )?orange$"
)


NO_ARTICLE = frozenset(
    (
        *("trousers", "headphones", "scissors", "pliers", "pruning shears"),
        *("broccoli", "spinach", "garlic", "asparagus", "celery"),
    )
)


def _article(name: str) -> str:
    return "an " if name[0] in "aeiou" else "a "


@dataclass(frozen=True, slots=True)
class Thing:
    """A row of objects.csv."""

    name: str
    category: str
    aliases: tuple[str, ...]
    partly: tuple[str, ...]
    length_cm: Range | None
    weight_kg: Range | None
    colours: frozenset[str]
    all_colours: bool
    signs: dict[str, str]


@lru_cache(maxsize=1)
def read_things() -> tuple[Thing, ...]:
    """The objects and their facts, in the order of the file."""
    rows = list(csv.DictReader(read_data("objects.csv").splitlines()))
    facts = [key for key in rows[0] if rows[0][key] in SIGNS]
    return tuple(
        Thing(
            name=row["name"],
            category=row["category"],
            aliases=tuple(filter(None, row["aliases"].split("|"))),
            partly=tuple(filter(None, row["partly"].split("|"))),
            length_cm=read_range(row["length_cm"]),
            weight_kg=read_range(row["weight_kg"]),
            colours=frozenset(row["colours"].removeprefix("=").split()),
            all_colours=row["colours"].startswith("="),
            signs={key: row[key] for key in facts},
        )
        for row in rows
    )


def within(value: Range | None, yes: Callable[[Range], bool], no: Callable[[Range], bool]) -> str:
    """The answer for a thing whose size or weight lies in a range."""
    if value is None:
        return DEPENDS
    return YES if yes(value) else NO if no(value) else DEPENDS


def _big(thing: Thing) -> str:
    return within(thing.length_cm, lambda cm: cm[0] >= 200, lambda cm: cm[1] < 50)


def _heavy(thing: Thing) -> str:
    return within(thing.weight_kg, lambda kg: kg[0] >= 20, lambda kg: kg[1] < 5)


def _carried(thing: Thing, kilograms: tuple[float, float], centimetres: tuple[float, float]) -> str:
    kg, cm = thing.weight_kg, thing.length_cm
    if (kg and kg[0] > kilograms[1]) or (cm and cm[0] > centimetres[1]):
        return NO
    both = kg and cm and kg[1] < kilograms[0] and cm[1] < centimetres[0]
    return YES if both else DEPENDS


def _by_hand(thing: Thing) -> str:
    held = SIGNS[thing.signs["handheld"]]
    return DEPENDS if held == NO and thing.signs["man_made"] == "y" else held


DERIVED: dict[str, Callable[[Thing], str]] = {
    "big": _big,
    "heavy": _heavy,
    "carry": lambda thing: _carried(thing, (15, 60), (200, 400)),
    "one_hand": lambda thing: _carried(thing, (3, 15), (130, 400)),
    "by_hand": _by_hand,
}
"""Answers that follow from length, weight and other facts, by the key of the lexicon."""


def colour_answer(thing: Thing, colour: str) -> str:
    """Whether a thing has a colour: yes if it has no other, no if it never has."""
    if colour in thing.colours and (thing.all_colours or len(thing.colours) == 1):
        return YES
    return DEPENDS if colour in thing.colours or "*" in thing.colours else NO


CANONICAL_SIZES = (
    ("Is it smaller than a hand?", "be smaller than hand"),
    ("Is it bigger than a shoebox?", "be bigger than shoebox"),
    ("Is it bigger than a person?", "be bigger than person"),
    ("Is it bigger than a car?", "be bigger than car"),
    ("Is it bigger than a house?", "be bigger than house"),
    ("Does it weigh more than 1 kg?", "it weigh more than 1 kg"),
    ("Does it weigh more than 100 g?", "it weigh more than 100 g"),
)


class ObjectReader:
    """What texts mean, for the objects of the table; the lexicon of phrases is read when needed."""

    def __init__(self):
        self.things = read_things()
        self._entries = read_lexicon("object_questions.txt")
        self.asked = {entry.key: self._row(entry.key, entry.question) for entry in self._entries}
        self.guesses = tuple(
            self._guess(index, thing.name) for index, thing in enumerate(self.things)
        )

    def _row(self, key: str, text: str) -> Question:
        derive = DERIVED.get(key)
        answers = [derive(thing) if derive else SIGNS[thing.signs[key]] for thing in self.things]
        return make_question(key, text, answers)

    def _guess(self, index: int, name: str) -> Question:
        answers = self._named_by(name)
        answers[index] = YES
        article = "" if name in NO_ARTICLE else "the " if name == "moon" else _article(name)
        return make_question(f"guess {name}", f"Is it {article}{name}?", answers, index)

    def _named_by(self, name: str) -> list[str]:
        return [DEPENDS if name in thing.partly else NO for thing in self.things]

    @cached_property
    def forms(self) -> Mapping[str, str]:
        """Basic forms of all words that are understood."""
        words = [phrase for entry in self._entries for phrase in (*entry.phrases, *entry.denials)]
        words += [*self._other_names, *COLOURS, SIZE_ASKED, *SYNONYMS]
        words += [name for thing in self.things for name in (thing.name, *thing.aliases)]
        return lemmas(" ".join(words).replace("-", " ").split())

    @cached_property
    def phrases(self) -> Mapping[str, tuple[str, bool]]:
        """Every phrase of the lexicon."""
        return phrase_table(self._entries, self.forms)

    @cached_property
    def plain_phrases(self) -> Mapping[str, tuple[str, bool]]:
        """The phrases with one word for each meaning; none that then asks for two things."""
        found: dict[str, set[tuple[str, bool]]] = {}
        for phrase, asked in self.phrases.items():
            found.setdefault(one_word_each(phrase), set()).add(asked)
        return {phrase: next(iter(asked)) for phrase, asked in found.items() if len(asked) == 1}

    @cached_property
    def _other_names(self) -> tuple[str, ...]:
        """What is no object of the table, or only partly names one."""
        partly = dict.fromkeys(name for thing in self.things for name in thing.partly)
        others = read_data("object_others.txt").split()
        return (*partly, *(word.replace("_", " ") for word in others))

    @cached_property
    def named(self) -> Mapping[str, Question | str]:
        """What a name means: a guess, or the name of something else."""
        names: dict[str, Question | str] = {}
        for guess, thing in zip(self.guesses, self.things, strict=True):
            for name in (thing.name, *thing.aliases):
                names[basic(name, self.forms)] = guess
        for name in self._other_names:
            form = basic(name, self.forms)
            if "be " + form not in self.phrases:
                names.setdefault(form, name)
        return names

    def _name(self, form: str) -> Question | None:
        found = self.named.get(form)
        if isinstance(found, str):
            return make_question(
                f"other {found}", f"Is it {_article(found)}{found}?", self._named_by(found)
            )
        return found

    def read(self, text: str) -> Question | Refusal:
        """What a text asks."""
        plain = clean(text)
        sentence = one_sentence(plain) if plain is not None else None
        if sentence is None:
            return NOT_UNDERSTOOD
        if _OPEN.match(sentence):
            return NOT_YES_OR_NO
        if _ORANGE_COLOUR.match(sentence):
            return self.colour("orange")
        words = without_fillers(sentence)
        found = self._guessed(words)
        if found is not None:
            return found
        for tried in (words, "is it " + words):
            form, denied = framed(tried, OBJECTS, self.forms)
            found = self._look_up(form)
            if found is not None:
                if not denied:
                    return found
                return deny(found) if found.guess < 0 else NOT_UNDERSTOOD
        plain_words = plainer(sentence)
        found = self._plain(plain_words) or joined(plain_words, self._plain)
        if found is not None:
            return found
        form, _ = framed(words, OBJECTS, self.forms)
        return UNKNOWN if _QUESTION.match(form) and " " in form else NOT_UNDERSTOOD

    def _plain(self, sentence: str) -> Question | None:
        """What a sentence in plainer words asks, each word taken for all of its meaning."""
        words = without_fillers(sentence)
        for tried in (words, "is it " + words):
            form, denied = framed(tried, OBJECTS, self.forms)
            found = self._described(form)
            if found is None:
                each = one_word_each(form)
                # what is used to do a thing may be asked for as what does it
                ways = (self.plain_phrases.get(way) for way in (each, re.sub("^use ", "it ", each)))
                key, opposite = next(filter(None, ways), ("", False))
                found = self.asked.get(key)
                denied ^= opposite
            if found is not None:
                return deny(found) if denied else found
        return None

    def _guessed(self, words: str) -> Question | None:
        for pattern, replacement in SUBJECTS:
            words = pattern.sub(replacement, words, count=1).strip()
        while (shorter := GUESS.sub("", words, count=1)) != words:
            words = shorter
        words = re.sub(r"^(?:kind|type|sort) of ", "", words)
        return self._name(basic(words, self.forms))

    def _look_up(self, form: str) -> Question | None:
        return self._described(form) or (self._name(form[3:]) if form.startswith("be ") else None)

    def _described(self, form: str) -> Question | None:
        """What a normal form asks that names no object."""
        phrase = self.phrases.get(form)
        if phrase is not None:
            question = self.asked[phrase[0]]
            return deny(question) if phrase[1] else question
        colour = COLOURS.get(form[3:]) if form.startswith("be ") else None
        if colour is not None:
            return self.colour(colour)
        return size_question(form, self.things, self.forms)

    def colour(self, colour: str) -> Question:
        """Whether it has a colour."""
        answers = [colour_answer(thing, colour) for thing in self.things]
        return make_question(f"colour {colour}", f"Is it {colour}?", answers)


@lru_cache(maxsize=1)
def object_book() -> Book:
    """The questions about objects and their answers; made once."""
    reader = ObjectReader()
    colours = [reader.colour(colour) for colour in dict.fromkeys(COLOURS.values())]
    sizes: list[Question] = []
    for text, form in CANONICAL_SIZES:
        question = size_question(form, reader.things, reader.forms)
        assert question is not None
        sizes.append(make_question(question.key, text, question.answers))
    questions = (*reader.asked.values(), *sizes, *colours)
    known = {question.text: question for question in (*questions, *reader.guesses)}
    names = tuple(thing.name for thing in reader.things)
    return Book(names, questions, reader.guesses, lru_cache(maxsize=4096)(reader.read), known)
