"""The best rows for a vector, exactly, and what a search asks of vectors."""
