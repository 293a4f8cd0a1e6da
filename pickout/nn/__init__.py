"""Towers and their parts. Parts take values; `build_vision` and `build_text` take settings."""
