"""The best rows for a vector where memory does not hold all: an index narrows, exact scores decide.

In: a gallery's table and vectors to measure recall with. Out: an index inside the table, and a record of how well it
finds. Touches the table's index and `approximate.json`.
"""
