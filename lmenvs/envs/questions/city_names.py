"""What continents, parts of the world and groups of countries are called besides their names."""

from collections.abc import Mapping

from .sentence import without_fillers

CONTINENT_NAMES: Mapping[str, str] = {
    "european": "Europe",
    "asian": "Asia",
    "african": "Africa",
    "south american": "South America",
    "north american": "North America",
    "oceanian": "Oceania",
}
GROUP_NAMES: Mapping[str, str] = {
    "latin american": "Latin America",
    "scandinavian": "Scandinavia",
    "nordic": "Nordic countries",
    "nordic region": "Nordic countries",
    "balkan": "Balkans",
    "balkan peninsula": "Balkans",
    "iberian peninsula": "Iberia",
    "iberian": "Iberia",
    "subsaharan africa": "Sub-Saharan Africa",
    "sub saharan african": "Sub-Saharan Africa",
    "subcontinent": "Indian subcontinent",
}


def adjective(region: str) -> str:
    """The adjective of a part of the world.

    >>> adjective("southeast asia"), adjective("middle east"), adjective("west africa")
    ('southeast asian', 'middle eastern', 'west african')
    """
    if region.endswith("east"):
        return region + "ern"
    ends = {"europe": "european", "asia": "asian", "africa": "african", "america": "american"}
    return next(
        (region[: -len(end)] + to for end, to in ends.items() if region.endswith(end)), region
    )


def spoken(name: str) -> str:
    """A name as it stands in a question after clean() and without_fillers().

    >>> spoken("Xi'an"), spoken("Christ the Redeemer")
    ('xian', 'christ redeemer')
    """
    return without_fillers(name.lower().replace("'", "").replace("-", " "))
