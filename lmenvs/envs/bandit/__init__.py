"""Bandits: one decision, many times, with unknown odds."""
