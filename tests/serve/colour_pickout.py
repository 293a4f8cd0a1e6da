"""The `pickout` command with the small true encoder in the place of a model."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "gallery"))

from colour_encoder import ColourEncoder

import pickout.cli.model
from pickout.cli.app import main

pickout.cli.model.load_model = lambda *_: ColourEncoder()
pickout.cli.model.remembered_model = lambda *_: "colour"

if __name__ == "__main__":
    main()
