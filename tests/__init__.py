"""The tests of lmenvs, agents and algorithms."""
