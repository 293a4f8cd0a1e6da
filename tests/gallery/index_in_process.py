"""Run by tests as a process of its own: index a folder with the colour encoder, slowly enough to be killed.

Arguments: gallery, folder of crops, seconds per batch; a table, whose crops are then encoded as noise. Says `ready`
when everything is imported, waits for a line, and says `batch` before each batch.
"""

import sys
import time

from colour_encoder import ColourEncoder, NoiseEncoder

from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.report import IngestSettings

if __name__ == "__main__":
    path, crops, pause = sys.argv[1], sys.argv[2], float(sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()

    def slowly():
        print("batch", flush=True)
        time.sleep(pause)

    table = next(iter(sys.argv[4:]), None)
    gallery = Gallery.create(path, (ColourEncoder if table is None else NoiseEncoder)(delay=slowly))
    report = gallery.add(crops, table=table, settings=IngestSettings(batch=4, commit=8, compact_every=5, threads=2))
    print(report.added, report.unchanged, report.quarantined, flush=True)
