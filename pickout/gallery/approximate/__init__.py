"""The best rows for a vector where memory does not hold all: an index narrows, exact scores decide."""
