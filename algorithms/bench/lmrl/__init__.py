"""LMRL-Gym's comparison on this project's tasks with models that two CPU cores train."""
