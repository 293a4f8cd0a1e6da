"""Towers, made from their settings, and their parts, made from values."""
