"""What all trainers share, so that each algorithm's file shows its own loop and nothing else.

`Session` (session.py) opens the run, plays and logs; `Objective` (objective.py) holds the options
of the policy loss; `update` (update.py) takes the optimizer steps; values.py reads and fits the
critic; checks.py refuses episodes that no credit can be given for.
"""
