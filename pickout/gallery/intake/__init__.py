"""From a folder of crops to rows. Reads the folder, writes only through the store; no file goes unmentioned.

scan, metadata    which files there are or are gone, and what is known of each before it is opened
picture           reading files in threads, ahead of the model
ingest, commit    what is encoded, and when it is written
quarantine, suppression, report    what could not be read, what was erased, what became of the rest
"""
