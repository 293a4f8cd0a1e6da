"""The best rows for a vector, exactly, from vectors that memory holds; equal ones in a stated order. Vectors and a
query go in, rows and scores come out; it touches no file."""
