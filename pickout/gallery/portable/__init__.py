"""A gallery, or a part of it, as one file."""
