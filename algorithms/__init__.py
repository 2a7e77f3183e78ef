"""Algorithms that train language-model policies, one file each, and the `lmenvs` command."""
