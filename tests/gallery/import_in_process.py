"""Run by tests as a process of its own: import a file in commits of a few rows, slowly enough to be killed.

Arguments: file, gallery, folder for the pictures, seconds before each commit. Says `commit` before each commit.
"""

import sys
import time

from pickout.gallery.portable import reader
from pickout.gallery.storage.store import Store

if __name__ == "__main__":
    file, gallery, pictures, pause = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
    put = Store.put

    def slowly(store, rows):
        print("commit", flush=True)
        time.sleep(pause)
        put(store, rows)

    Store.put = slowly
    reader._COMMIT_ROWS = 8
    report = reader.import_gallery(file, gallery, crops_to=pictures)
    print(report.added, report.unchanged, report.replaced, report.kept, flush=True)
