"""How a yes-or-no question about a city is asked that names nothing."""

import re
from collections.abc import Mapping

PLAIN: tuple[tuple[str, bool, re.Pattern[str]], ...] = tuple(
    (key, opposite, re.compile(pattern))
    for key, opposite, pattern in (
        (
            "capital",
            False,
            r"is it (?:capital|capital city|national capital(?: of country)?|country capital"
            r"|capital of country"
            r"|capital city of country|capital of (?:nation|country it is in)|national capital city"
            r"|one of world capitals|seat of government|seat of national government)",
        ),
        (
            "coast",
            False,
            r"is it (?:on|by|near|at|along|next to|close to) (?:coast|sea|ocean|seaside"
            r"|coastline|shore|sea or ocean|ocean or sea)|is it (?:coastal|seaside)(?: city"
            r"| town)?"
            r"|does it have (?:coast|coastline|seaside|access to sea)"
            r"|does it border (?:sea|ocean)|is it coastal|is there (?:sea|ocean|coast) there"
            r"|is it (?:city|town) on (?:coast|sea)",
        ),
        (
            "coast",
            True,
            r"is it (?:inland|inland city|landlocked|landlocked city)"
            r"|is it far from (?:sea|coast|ocean)",
        ),
        (
            "on_river",
            False,
            r"is it (?:on|by|near|along|next to) (?:river|large river|major river|big river)"
            r"|does (?:large |big |major )?river (?:run|flow|go|pass) (?:through|by|along|past)"
            r"(?: it| there)?|is there (?:large |big |major )?river(?: there| in city| nearby)?"
            r"|does it have (?:large |big |major )?river(?: running through it| in it)?"
            r"|is it (?:river|riverside) city",
        ),
        *(
            (
                key,
                False,
                rf"(?:has|did|have) it (?:ever |once )?(?:host|hosted|held|hold|have) {games}"
                rf"(?: before)?|is it (?:former )?{city} host(?: city)?|is it (?:former )?{city} "
                rf"city|(?:were|was) {games} (?:ever )?(?:held|hosted) there"
                rf"|(?:has|is) it (?:ever |once )?(?:been )?host(?: city)? (?:of|for|to) {games}"
                rf"|(?:has|have) {games} (?:ever )?been "
                rf"(?:held|hosted) there",
            )
            for key, games, city in (
                ("hosted", "summer (?:olympics|olympic games)", "summer (?:olympics|olympic)"),
                ("games", "(?:olympics|olympic games)", "(?:olympics|olympic)"),
            )
        ),
        (
            "high",
            False,
            r"is it (?:at |in |on )?(?:high elevation above sea level|high altitude above sea level"
            r"|high|high altitude|high elevation|high up|high above "
            r"sea level|high altitude city)"
            r"|does it (?:lie|have) (?:at )?high (?:altitude|elevation)"
            r"|is it more than 1200 (?:m|meters|metres) above sea level",
        ),
        (
            "snow",
            False,
            r"does it (?:have|get|experience|see) (?:snowy winters?|snowfall|winter snow|snow)"
            r"(?: regularly| every year| every winter| in winter)?|are winters(?: there)? snowy"
            r"(?: there)?|does it (?:snow|get snow|have snow|get snowy)(?: there)?(?: every winter"
            r"| in winter| during winter)?(?: there)?|is there snow(?: there)?(?: in winter)?"
            r"|do people get snow"
            r"(?: there)?(?: in winter)?|does it snow there in winter",
        ),
        (
            "union",
            False,
            r"(?:is|does) (?:it|country|country it is in)(?: belong to| in| part of| member of"
            r"| member"
            r" state of| within)(?: an?)? (?:european union|eu)(?: country| member| member state)?"
            r"|is it (?:eu|european union) (?:country|city|member)|is country (?:eu|european union)"
            r" (?:member|country|member state)|is it in eu (?:country|member state|member)",
        ),
        (
            "kingdom",
            False,
            r"(?:is|does) country (?:monarchy|kingdom|ruled by (?:king|queen|monarch)|have (?:king"
            r"|queen|monarch|king or queen|queen or king|royal family|monarchy))"
            r"|is it in (?:kingdom"
            r"|monarchy|constitutional monarchy)|is country (?:constitutional monarchy)"
            r"|does it have (?:king|queen|monarch|king or queen|monarchy)|is there (?:king|monarch)"
            r"(?: there)?",
        ),
        ("kingdom", True, r"is country republic|is it in republic"),
        (
            "island",
            False,
            r"is (?:it in|country|country on) (?:island nation|island country|island state)"
            r"|is country (?:on )?islands?|is it in country (?:on island|that is island)"
            r"|is (?:it|country) island (?:nation|state|country)",
        ),
        ("on_island", False, r"is it (?:on|in) islands?|is it (?:on )?island city|is it island"),
        (
            "landlocked",
            False,
            r"is country (?:landlocked|without (?:coast|coastline|sea access))|is it in landlocked "
            r"(?:country|nation)|is it in country without coast",
        ),
        (
            "left",
            False,
            r"do (?:people|cars|drivers|vehicles)(?: there)? drive on left(?: hand)?(?: side)?"
            r"(?: of (?:road|street))?(?: there)?"
            r"|is driving on left"
            r"(?: there)?|is traffic on left(?: there)?",
        ),
        (
            "left",
            True,
            r"do (?:people|cars|drivers|vehicles)(?: there)? drive on right(?: hand)?(?: side)?"
            r"(?: of (?:road|street))?(?: there)?",
        ),
        *(
            (
                f"hemisphere {side}",
                False,
                rf"is it (?:in )?{side}(?:ern)? hemisphere(?: of (?:world|earth|globe))?" + more,
            )
            for side, more in (
                ("north", r"|is it (?:above|north of) equator"),
                ("south", r"|is it (?:below|south of) equator"),
                ("east", ""),
                ("west", ""),
            )
        ),
        (
            "tropics",
            False,
            r"is it (?:in|within|inside) (?:tropics|tropical zone)|is it between tropics"
            r"|is it in tropical (?:country|region)|is it tropical city",
        ),
        (
            "largest",
            False,
            r"is it (?:country )?(?:largest|biggest|most populous|most populated)(?: city| one)?"
            r"(?: by population)?(?: (?:in|of) (?:country|nation|it))?(?: by population)?",
        ),
        *(
            (
                f"{side} coast",
                False,
                rf"is it (?:on|in|along|near) (?:american |us )?{side}(?:ern)? coast (?:of|in) "
                r"(?:united states(?: of america)?|us|usa|america|states|north america)"
                rf"|is it (?:american |us ){side} coast city|is it on (?:american|us) {side} coast",
            )
            for side in ("west", "east")
        ),
    )
)  # fmt: skip
"""Yes-or-no questions without a blank: the key, whether it asks the opposite, the whole of it."""

CANONICAL_FACTS: Mapping[str, str] = {
    "largest": "Is it the largest city in its country?",
    "west coast": "Is it on the west coast of the United States?",
    "east coast": "Is it on the east coast of the United States?",
    "capital": "Is it the capital of its country?",
    "coast": "Is it on the coast?",
    "on_river": "Is it on a river?",
    "hosted": "Has it hosted the Summer Olympics?",
    "games": "Has it hosted the Olympics?",
    "high": "Is it more than 1200 m above sea level?",
    "snow": "Does it snow there every winter?",
    "union": "Is it in the European Union?",
    "kingdom": "Is the country a monarchy?",
    "island": "Is the country an island nation?",
    "on_island": "Is it on an island?",
    "landlocked": "Is the country landlocked?",
    "left": "Do people drive on the left?",
    "hemisphere north": "Is it in the northern hemisphere?",
    "hemisphere south": "Is it in the southern hemisphere?",
    "hemisphere east": "Is it in the eastern hemisphere?",
    "hemisphere west": "Is it in the western hemisphere?",
    "tropics": "Is it in the tropics?",
}
