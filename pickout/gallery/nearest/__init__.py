"""The best rows for a vector, exactly or through an index."""
