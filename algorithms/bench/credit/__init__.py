"""`lmenvs bench credit`: credit measured against exact truth, at equal cost.

Reading order: words.py (actions as tokens), world.py (an environment as arrays, its exact values),
plays.py and draws.py (what an estimator is given for a budget), estimators.py (their table) and
judges.py (their calls), measures.py (their errors), run.py (all of it), textworld.py (truth by
forking), speed.py (seconds), summary.py (what a reader sees).
"""
