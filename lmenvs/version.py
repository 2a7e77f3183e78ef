"""The version of the distribution; SemVer."""

__version__ = "0.1.0"
