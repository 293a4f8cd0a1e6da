"""The best rows for a vector in a gallery too large to hold: an index, exact scores, and what that misses."""
