"""Multiscale music audio feature learning, after Dieleman & Schrauwen (ISMIR 2013)."""

__version__ = "0.1.0"
