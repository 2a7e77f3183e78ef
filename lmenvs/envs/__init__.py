"""The environments, one folder per family and one file per environment."""
