from typing import Any

import pytest

from lmenvs.envs.dialogue.seller_lines import (
    BRANDS,
    CACHED_LENGTH,
    FEATURES,
    KINDS,
    NOTHING,
    SellerLine,
    read_line,
)

HONDA, TOYOTA, VOLKSWAGEN = (BRANDS.index(name) for name in ("Honda", "Toyota", "Volkswagen"))
SEDAN, SUV, ELECTRIC = (KINDS.index(name) for name in ("sedan", "SUV", "electric"))
SUNROOF, CAMERA, LEATHER = (
    FEATURES.index(name) for name in ("sunroof", "backup camera", "leather seats")
)


def understood(text: str) -> dict[str, Any]:
    line = read_line(text)
    values = {name: getattr(line, name) for name in SellerLine.__slots__}
    return {name: value for name, value in values.items() if value and name != "chats"}


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("How about the blue Honda?", {"brands": (HONDA,)}),
        ("The Toyotas and VWs", {"brands": (TOYOTA, VOLKSWAGEN)}),
        ("the Toyota sedan", {"brands": (TOYOTA,), "kinds": (SEDAN,)}),
        ("May I suggest car 3?", {"cars": (3,)}),
        ("Option #2", {"cars": (2,)}),
        ("This SUV, or an EV", {"kinds": (SUV, ELECTRIC)}),
        ("an electric vehicle", {"kinds": (ELECTRIC,)}),
        ("It has a sunroof", {"features": (SUNROOF,), "arguments": ("features",)}),
        (
            "a rear-view camera and leather",
            {"features": (CAMERA, LEATHER), "arguments": ("features",)},
        ),
        ("It has no sunroof", {}),
        ("It comes without a warranty", {}),
        ("five-year warranty", {"arguments": ("warranty",)}),
        ("It's the safest car", {"arguments": ("warranty",)}),
        ("We offer financing at 3.9% APR", {"arguments": ("financing",)}),
        ("$450 a month", {"arguments": ("financing",)}),
        ("I understand, take your time", {"arguments": ("empathy",)}),
        ("I completely understand", {"arguments": ("empathy",)}),
        ("Hurry, another buyer wants it!", {"arguments": ("pressure",)}),
        ("Do you have a trade-in?", {"arguments": ("trade-in",)}),
        (
            "This offer ends today; it has a great warranty",
            {"arguments": ("pressure", "warranty")},
        ),
        ("What kind of car are you looking for?", {"questions": ("kind",)}),
        ("What are you looking for?", {"questions": ("kind",)}),
        ("Are you looking for an SUV or a sedan?", {"questions": ("kind",)}),
        ("Do you prefer a brand?", {"questions": ("brand",)}),
        ("Which features are you looking for?", {"questions": ("features",)}),
        ("What's your budget?", {"questions": ("budget",)}),
        ("What budget do you have in mind", {"questions": ("budget",)}),
        ("How much would you like to spend?", {"questions": ("budget",)}),
        ("What price would you be comfortable with?", {"questions": ("budget",)}),
        ("Are you in the market for anything in particular?", {"questions": ("kind",)}),
        ("What matters most to you?", {"questions": ("priority",)}),
        ("Tell me about your budget.", {"questions": ("budget",)}),
        ("Which kind? And which brand?", {"questions": ("kind", "brand")}),
        ("Deal!", {"agrees": True}),
        ("OK, deal.", {"agrees": True}),
        ("It's a deal", {"agrees": True}),
        ("I accept your offer of $28,000.", {"agrees": True, "refuses": True}),
        ("Sold!", {"agrees": True}),
        ("I can match your offer", {"agrees": True}),
        ("Let’s shake hands on it", {"agrees": True}),
        ("Deal at $30,000", {"agrees": True, "price": 30000}),
        ("Do we have a deal?", {}),
        ("That's a great deal for you", {}),
        ("No deal.", {"refuses": True}),
        ("I can't accept that", {"refuses": True}),
        ("That's too low", {"refuses": True}),
        ("No, thanks", {"refuses": True}),
        ("No problem", {}),
        ("You have it at list price", {"agrees": True, "at_list": True}),
        ("Let's split the difference", {"halfway": True}),
        ("You idiot", {"insults": True}),
        ("I take 10% off", {"percent_off": 10.0}),
        ("$500 off", {"off": 500}),
    ],
)
def test_a_line_means_what_its_words_say(text: str, meaning: dict[str, Any]):
    assert understood(text) == meaning


@pytest.mark.parametrize(
    "text",
    ["Hello there", "Thank you, sir!", "Welcome", "Do we have a deal?", "Is it for yourself?"],
)
def test_a_courtesy_is_heard_and_means_nothing(text: str):
    assert understood(text) == {} and read_line(text).chats


@pytest.mark.parametrize(
    "text",
    ["", " ", "\x00", "asdf qwer", "日本語", "שלום", "🚗🚗", "\ud800", "{}[]", "x" * 5000, "12 34"],
)
def test_what_holds_nothing_known_is_nothing(text: str):
    assert read_line(text) is NOTHING


def test_a_long_line_is_read_like_a_short_one():
    short = "I suggest car 3 for $25,000."
    padded = short + " " * CACHED_LENGTH
    assert read_line(padded) == read_line(short)
    assert read_line("a " * 2000 + short) is NOTHING  # it comes after what is heard
