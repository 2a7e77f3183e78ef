from lmenvs.envs.engines.alfworld_plan import choose_objects, goal_of

OBJECTS = {
    "agent1": "agent",
    **{f"spot{number}": "location" for number in range(6)},
    **{f"drawer{number}": "receptacle" for number in range(5)},
    "sink1": "receptacle",
    **{name: "object" for name in ("fork1", "fork2", "pen1", "cup1")},
    **{name: "otype" for name in ("forktype", "pentype", "cuptype")},
    **{name: "rtype" for name in ("drawertype", "sinkbasintype")},
}
GOAL = """(:goal (exists (?o - object ?r - receptacle) (and (isClean ?o) (objectType ?o ForkType)
    (inReceptacle ?o ?r) (receptacleType ?r DrawerType))))"""
FACTS = {
    ("atlocation", "agent1", "spot5"),
    *(("receptacletype", f"drawer{number}", "drawertype") for number in range(5)),
    *(("receptacleatlocation", f"drawer{number}", f"spot{number}") for number in range(1, 5)),
    *(("openable", f"drawer{number}") for number in range(4)),
    ("receptacletype", "sink1", "sinkbasintype"),
    ("receptacleatlocation", "sink1", "spot5"),
    *(("objecttype", name, f"{name[:-1]}type") for name in ("fork1", "fork2", "pen1", "cup1")),
    ("inreceptacle", "fork1", "drawer0"),
    ("inreceptacle", "fork2", "drawer3"),
    ("inreceptacle", "pen1", "drawer2"),
    ("cancontain", "drawertype", "cuptype"),
}


def kept(extra=()):
    names = choose_objects(GOAL, OBJECTS, FACTS | set(extra))
    return {name for name in names if OBJECTS[name] in ("object", "receptacle")}


def test_a_plan_is_made_with_the_things_of_the_task_and_the_nearest_places():
    # drawer 0 and the fork in it have no spot to stand at; drawer 4 is open
    assert kept() == {"fork2", "drawer3", "drawer4", "drawer1", "sink1"}


def test_what_is_in_hand_and_a_place_to_put_it_are_kept():
    assert kept([("holds", "agent1", "cup1")]) >= {"cup1", "drawer4"}


def test_all_types_and_the_spots_of_what_is_kept_are_kept():
    names = choose_objects(GOAL, OBJECTS, FACTS)
    assert {name for name, kind in OBJECTS.items() if kind.endswith("type")} <= names
    assert {name for name in names if OBJECTS[name] == "location"} == {
        *("spot1", "spot3", "spot4", "spot5"),
    }


def test_the_goal_is_cut_out_of_a_problem():
    assert goal_of(f"(define (problem p)\n(:init (a b))\n{GOAL}\n(:metric minimize (c)))") == GOAL
