"""`python -m serving GALLERY STATE DIMENSION`: `pickout serve` with the encoder that costs nothing."""

import sys

import pickout.cli.model
from pickout.cli.app import main
from serving import HashEncoder

gallery, state, dimension = sys.argv[1:]
pickout.cli.model.load_model = lambda *_: HashEncoder(int(dimension))  # type: ignore[assignment,return-value]
pickout.cli.model.remembered_model = lambda *_: "hash"  # type: ignore[assignment]
main(["serve", gallery, "--state", state, "--port", "0"])
