"""From a folder of crops to rows: what is there, what is new, pixels, metadata, vectors, commits.

In: a folder, an encoder, perhaps a table. Out: rows in the store and a report; files that cannot be read go to the
quarantine list, never unmentioned. Reads the folder of crops, writes only through the store.

    scan, cameras, metadata    which files there are, and what is known of each before it is opened
    picture, prefetch, examination    reading files in threads, ahead of the model
    ingest, inventory, background, commit    what is encoded, and when it is written
    quarantine, report         what could not be read, and what became of the rest
"""
