"""Environments about words and letters."""
