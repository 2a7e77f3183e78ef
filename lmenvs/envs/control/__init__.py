"""Environments with a handful of states, for checking algorithms."""
