"""Run by tests as a process of its own: index a folder with the colour encoder, slowly enough to be killed.

Arguments: gallery, folder of crops, seconds per batch. Says `ready` when everything is imported, waits for a line,
and says `batch` before each batch.
"""

import sys
import time

from colour_encoder import ColourEncoder

from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.report import IngestSettings

if __name__ == "__main__":
    path, crops, pause = sys.argv[1], sys.argv[2], float(sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()

    def slowly():
        print("batch", flush=True)
        time.sleep(pause)

    gallery = Gallery.create(path, ColourEncoder(delay=slowly))
    report = gallery.add(crops, settings=IngestSettings(batch=4, commit=8, compact_every=5, threads=2))
    print(report.added, report.unchanged, report.quarantined, flush=True)
