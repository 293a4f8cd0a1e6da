"""Pickout: find people in images from a sentence."""

__version__ = "0.1.0"
