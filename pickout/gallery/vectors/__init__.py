"""The best rows for a vector, exactly, from vectors that memory holds.

In: vectors (N, D), a query (D,), which rows may be found. Out: places and scores, best first, equal ones in a stated
order. Touches nothing but memory.
"""
