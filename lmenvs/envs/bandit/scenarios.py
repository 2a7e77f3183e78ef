"""The stories that the bandit's arms are told in; the story changes no odds.

Machines have letters for names, which say nothing; the other names are words that a player may
have an opinion on.
"""

from collections.abc import Mapping
from dataclasses import dataclass

LARGEST = 20


@dataclass(frozen=True, slots=True)
class Scenario:
    """The words of one story.

    Attributes:
        noun: What an arm is called (`button 3`).
        task: Who the player is and what a reward means, where it is 0 or 1.
        measured: The same where the reward is any number.
        pulled: What happened, with `{arm}` in it; the reward follows.
        names: The names of the arms with blanks between, `LARGEST` lower-case words.
    """

    noun: str
    task: str
    measured: str
    pulled: str
    names: str

    def arms(self) -> tuple[str, ...]:
        """The names of the arms, in their fixed order."""
        return tuple(self.names.split())


SCENARIOS: Mapping[str, Scenario] = {
    "machines": Scenario(
        noun="machine",
        task=(
            "There is a row of slot machines. Every time you play one it pays 1 or 0, each with a "
            "chance of its own that stays the same all the time."
        ),
        measured=(
            "There is a row of slot machines. Every time you play one it pays an amount, which "
            "varies around an average of its own that stays the same all the time."
        ),
        pulled="You played machine {arm}.",
        names="a b c d e f g h i j k l m n o p q r s t",
    ),
    "buttons": Scenario(
        noun="button",
        task=(
            "There is a panel of coloured buttons. Every time you press one it pays 1 or 0, each "
            "with a chance of its own that stays the same all the time."
        ),
        measured=(
            "There is a panel of coloured buttons. Every time you press one it pays an amount, "
            "which varies around an average of its own that stays the same all the time."
        ),
        pulled="You pressed {arm}.",
        names=(
            "red blue green yellow orange purple black white brown pink "
            "grey cyan gold silver violet crimson teal olive maroon ivory"
        ),
    ),
    "clothes": Scenario(
        noun="item",
        task=(
            "You advise the customers of a clothes shop. You show each of them one item, and they "
            "buy it (1) or leave (0); every item has a chance of its own, the same for everybody."
        ),
        measured=(
            "You advise the customers of a clothes shop. You show each of them one item, and they "
            "rate the advice with a number; an item's ratings vary around an average of its own."
        ),
        pulled="You showed the customer the {arm}.",
        names=(
            "coat scarf jacket jumper shirt skirt dress trousers gloves hat "
            "socks boots sandals belt cardigan blouse vest shawl cape tunic"
        ),
    ),
    "ads": Scenario(
        noun="advert",
        task=(
            "You run a web page with room for one advert. To each visitor you show one, and they "
            "click it (1) or not (0); every advert has a chance of its own that stays the same."
        ),
        measured=(
            "You run a web page with room for one advert. To each visitor you show one, and you "
            "are told what it earned, which varies around an average of the advert's own."
        ),
        pulled="You showed the advert for {arm}.",
        names=(
            "tea coffee bicycles umbrellas lamps candles violins puzzles novels maps "
            "kites tents skates clocks mirrors chairs carpets pencils apples honey"
        ),
    ),
    "videos": Scenario(
        noun="video",
        task=(
            "You choose what a site for short films plays first. Each viewer gets one video and "
            "watches it to the end (1) or not (0); every video has a chance of its own, the same "
            "for everybody."
        ),
        measured=(
            "You choose what a site for short films plays first. Each viewer gets one video and "
            "scores it; a video's scores vary around an average of its own."
        ),
        pulled="You played the video about {arm}.",
        names=(
            "volcanoes penguins bridges origami comets chess sailing baking glaciers robots "
            "pottery trains whales juggling castles gardens rockets magnets beetles drums"
        ),
    ),
}
