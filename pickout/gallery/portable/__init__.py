"""A gallery, or a part of it, as one file that another machine can read; pictures too, if wanted."""
