"""`lmenvs bench critic`: what makes a critic right, measured against exact values.

Reading order: truth.py (a player's exact values), inputs.py (what a critic reads), net.py (the
critics), fit.py (targets, steps, measures), cells.py (what is compared), run.py (all of it).
"""
