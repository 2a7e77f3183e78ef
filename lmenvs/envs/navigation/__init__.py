"""Environments in which the player finds the way."""
