import time

import pytest

from lmenvs.envs.dialogue.amounts import LONGEST, numbers, tokens
from lmenvs.envs.dialogue.prices import Sums, sums

PRICES = [
    ("$32,500", 32500),
    ("32.5k", 32500),
    ("32K", 32000),
    ("$32.5k", 32500),
    ("$29k?", 29000),
    ("32500", 32500),
    ("$32,500.00", 32500),
    ("For $27,999.99 you get it all", 28000),
    ("USD 32,500", 32500),
    ("US$ 32,500", 32500),
    ("€32.500", 32500),
    ("£26,300", 26300),
    ("26300$", 26300),
    ("＄32,500", 32500),
    ("32 500 dollars", 32500),
    ("32\u00a0500 dollars", 32500),
    ("$28 500", 28500),
    ("28'500", 28500),
    ("32,500 bucks", 32500),
    ("32 grand", 32000),
    ("32 thousand", 32000),
    ("32.5 thousand dollars", 32500),
    ("1.2 million", 1200000),
    ("thirty-two thousand", 32000),
    ("thirty-two grand", 32000),
    ("thirty thousand", 30000),
    ("thirty two thousand five hundred dollars", 32500),
    ("I'm asking thirty one thousand, five hundred", 31500),
    ("I'm asking thirty one thousand, two days only", 31000),
    ("one hundred and five thousand", 105000),
    ("twelve thousand and fifty dollars", 12050),
    ("thirty two hundred dollars", 3200),
    ("thirty-two five", 32500),
    ("nineteen nine", 19900),
    ("at twenty-eight five hundred", 28500),
    ("I'd let it go for twenty-eight", 28000),
    ("my price is thirty-one.", 31000),
    ("I can do 30", 30000),
    ("How about 28?", 28000),
    ("Let's settle at 28, final.", 28000),
    ("I'd take 28 for it", 28000),
    ("make it 31", 31000),
    ("I'm at 29", 29000),
    ("Sold for 41!", 41000),
    ("My final price is 28.9", 28900),
    ("$30", 30000),
    ("$500", 500),
    ("Price: 27400", 27400),
    ("27,400 and it's yours", 27400),
    ("my price is 27400 dollars, all in", 27400),
    ("would you pay 26,300?", 26300),
    ("How does 30k sound?", 30000),
    ("At 28,900 it's a steal", 28900),
    ("You can drive it home today for $28,000!", 28000),
    ("I could go to $29,900 today", 29900),
    ("$28,500 plus tax", 28500),
    ("Car #4 at 31k", 31000),
    ("I suggest car 3 for $25,000", 25000),
    ("number 5 would be 44 thousand", 44000),
    ("in 2024 for $24,999", 24999),
    ("the 2021 model at 21,000", 21000),
    ("2,024 dollars", 2024),
    ("built in 2019, it costs $21,000", 21000),
    ("only 40,000 miles, yours for 22,000", 22000),
    ("for 3 days only, 27k", 27000),
    ("$2,000 down, $29,000 total", 29000),
    ("no monthly payments, just $30,000 cash", 30000),
    ("The list price is $35,000 but I can do $32,000", 32000),
    ("$27,000, which is $400 below list price", 27000),
    ("down from $35,000 to $32,000", 32000),
    ("$32,000, down from $35,000", 32000),
    ("It was $35,000, now $32,000", 32000),
    ("It lists at $35,000", 35000),
    ("The sticker says $35,000.", 35000),
    ("I can't do 28 but I can do 31", 31000),
    ("I cannot go below $30,000", 30000),
    ("I can't go lower than 30k", 30000),
    ("No less than $30,000.", 30000),
    ("nothing below 30 thousand", 30000),
    ("you said 28,000, I say 30,000", 30000),
    ("between 28 and 30 thousand", 30000),
    ("I can offer it to you for just under $30,000", 30000),
    ("You pay $36,000, not over $40,000 as elsewhere", 36000),
    ("It lists at $42,000, and I take $2,000 off", 40000),
    ("The list price is $40,000 and I can give you 5% off", 38000),
    ("The list price is $42,000, I could come down a thousand", 41000),
    ("How does 27 sound?", 27000),
    ("from 35 to 32", 32000),
]

NO_PRICES = [
    "",
    "It's a 2019 Toyota",
    "2019",
    "two thousand nineteen",
    "It has 40,000 miles",
    "40k miles only",
    "a 2,000-mile road trip",
    "2022 Honda with 15,000 miles",
    "2 doors",
    "4-door sedan with 5 seats",
    "it has 2 doors and does 30 mpg",
    "It gets 30 on the highway",
    "a 3-year warranty",
    "a 10 year / 100,000 mile warranty",
    "0-60 in 5 seconds",
    "it goes 0 to 60.",
    "V6 with 300 horsepower",
    "4x4",
    "open 24/7",
    "10 out of 10!",
    "The offer is good for 24 hours",
    "I'll throw in 4 tires",
    "I'll throw in free floor mats worth $200 and a full tank",
    "I'd throw in a complete set of winter tyres worth $9,000",
    "I'll throw in $500 worth of accessories",
    "a free $500 gift card",
    "Only 3 left!",
    "car 3",
    "one",
    "this one is for you",
    "I have two kids",
    "call me at 555 1234",
    "3.9% APR",
    "0% financing for 60 months",
    "20 percent down",
    "10% off",
    "$450 a month",
    "monthly payments of $450",
    "the monthly payment would be around $480",
    "$2,000 down payment",
    "that includes $1,200 in taxes",
    "your trade-in is worth $5,000",
    "$5,000 for your trade-in",
    "$1,000 cash back",
    "That's $2,000 under your budget",
    "I can't do $28,000",
    "$28,000 is too low",
    "your offer of $28,000 won't work",
    "1e309",
    "9" * 400,
    "-1",
    "NaN",
    "$0",
    "$1,000,000,000",
    "1,2,3",
    "32,5",
]


@pytest.mark.parametrize(("text", "price"), PRICES)
def test_a_price_is_found_in_many_ways_of_saying_it(text: str, price: int):
    assert sums(tokens(text)).price == price


@pytest.mark.parametrize("text", NO_PRICES)
def test_other_numbers_are_no_price(text: str):
    assert sums(tokens(text)).price is None


@pytest.mark.parametrize(
    ("text", "off", "percent_off"),
    [
        ("10% off", None, 10.0),
        ("I'll take 5 percent off the list price", None, 5.0),
        ("15 per cent less", None, 15.0),
        ("reduce it by 3 %", None, 3.0),
        ("5% discount if you finance", None, 5.0),
        ("knock $500 off", 500, None),
        ("a $1,500 discount", 1500, None),
        ("I'll drop the price by 1,000", 1000, None),
        ("I could come down a thousand", 1000, None),
        ("we can go down $1,500", 1500, None),
        ("that would save you $2,000", 2000, None),
        ("3% interest", None, None),
        ("20% down", None, None),
        ("100% reliable", None, None),
        ("95% off", None, None),
    ],
)
def test_a_reduction_is_told_from_a_rate(text: str, off: int | None, percent_off: float | None):
    found = sums(tokens(text))
    assert (found.price, found.off, found.percent_off) == (None, off, percent_off)


def test_the_number_of_a_car_is_no_price():
    assert sums(tokens("car 3 or number 5")) == Sums(cars=(3, 5))
    assert sums(tokens("$28,000? I can't")).price == 28000
    assert sums(tokens("I can't accept $28,000")).refused


def test_numbers_say_where_they_stand_and_how_they_were_written():
    line = tokens("only $ 32.5 grand or five")
    first, second = numbers(line)
    assert (first.value, first.money, first.scaled) == (32500.0, True, True)
    assert [token.text for token in line[first.first : first.after]] == ["32.5", "grand"]
    assert (second.value, second.money, second.scaled) == (5.0, False, False)


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "9",
        "$",
        "1,",
        "1 ",
        "$1,000 ",
        "thirty ",
        "one hundred and ",
        "-",
        "%5",
        "1.",
        "\ufdfa",
    ],
)
def test_long_text_is_read_in_no_time(unit: str):
    text = unit * (100_000 // len(unit))
    begun = time.process_time()
    line = tokens(text)
    sums(line)
    assert time.process_time() - begun < 0.05  # 1 to 6 ms on an idle core
    assert sum(len(token.text) for token in line) <= LONGEST
