"""Relabelling exchanges names and keeps the map a map."""

import numpy as np

from lmenvs.envs.textworld.relabel import DIRECTIONS, draw_relabelling

OPPOSITE = {"north": "south", "south": "north", "east": "west", "west": "east"}


def test_opposites_stay_opposite_and_all_eight_turns_of_the_map_are_drawn():
    drawn = set()
    for seed in range(200):
        labels = draw_relabelling(np.random.default_rng(seed))
        image = dict(zip(DIRECTIONS, labels.directions, strict=True))
        assert all(image[OPPOSITE[name]] == OPPOSITE[image[name]] for name in DIRECTIONS)
        drawn.add(labels.directions)
    assert len(drawn) == 8
