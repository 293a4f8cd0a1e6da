"""The best rows for a vector where memory does not hold all: codes narrow, exact scores decide. In come a table and
measured searches, out rows and scores; it writes `approximate.json` and the codes beside the table, nothing else."""
