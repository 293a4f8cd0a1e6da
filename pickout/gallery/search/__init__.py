"""From a query to candidates.

In: a `Query`, filters, a model, the rows in memory. Out: an `Answer`: candidates, best first, and how sure they are.
Reads the gallery; writes nothing but searches that are kept (`saved_searches`).

    query, filters, query_vector    what is asked for
    ranking, second_look, groups    which rows, in what order, shown as what
    probability, reading_notes      how sure, and what the model did not understand
    search, answer, hits            all of it, from question to answer
    sheet, saved_searches           answers as a page; questions kept
"""
