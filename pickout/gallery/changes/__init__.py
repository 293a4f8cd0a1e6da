"""What becomes of rows that are there.

In: ids, or filters that choose them. Out: fewer rows, rows that know more, rows of another model, or a list of faults.
Each change leaves a line in the audit, holds the gallery's lock, and is finished by the next writer after a kill.

    choice               which crops are meant
    edits, erasure       removed, erased for good, told more about
    rebuild, transfer    another model for every row
    unfinished           what an earlier process left undone
    verification         whether all that should be there is there
"""
