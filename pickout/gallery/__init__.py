"""A gallery: an indexed folder of crops that can be searched with a sentence.

    encoder    what a gallery asks of a model: three values and two methods
    rows       a crop as it is kept, and a place to look up what is already known
    store      LanceDB behind a small interface
    manifest   gallery.json: format and model of the gallery
    scan, cameras, metadata, reading, examine, ingest, commit, quarantine     from a folder to rows
    exact, search, hits                                                       from a sentence to ranked rows
    gallery    the one class that users meet
    sheet, audit                                    results as a page; who searched for what

Nothing here imports a model: any `Encoder` will do.
"""
