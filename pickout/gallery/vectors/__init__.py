"""The best rows for a vector, exactly, from vectors that memory holds; equal ones in a stated order."""
