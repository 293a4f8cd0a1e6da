"""A server in a process of its own, with an encoder that costs nothing."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class HashEncoder:
    """Random unit vectors that a picture's bytes or a sentence's letters seed."""

    def __init__(self, dimension: int) -> None:
        self.name, self.dimension = "hash", dimension
        self.fingerprint = hashlib.sha256(f"hash {dimension}".encode()).hexdigest()

    def encode_images(self, images: list[Image.Image]) -> NDArray[np.float32]:
        return self._vectors([image.tobytes() for image in images])

    def encode_texts(self, texts: list[str]) -> NDArray[np.float32]:
        return self._vectors([text.encode() for text in texts])

    def _vectors(self, contents: list[bytes]) -> NDArray[np.float32]:
        seeds = [int.from_bytes(hashlib.sha256(content).digest()[:8], "big") for content in contents]
        vectors = np.array([np.random.default_rng(seed).standard_normal(self.dimension) for seed in seeds])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@contextmanager
def start(
    path: Path, state: Path, dimension: int, allowed: Path | None = None
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A server's address and process; stopped at the end, unless it was killed.

    Args:
        path: the gallery's folder.
        state: the server's.
        dimension: of the encoder.
        allowed: below which clients may name folders.
    """
    state.mkdir(exist_ok=True)
    if allowed is not None:
        (state / "settings.toml").write_text(f'folders = ["{allowed}"]\n')
    words = [sys.executable, "-m", "serving", str(path), str(state), str(dimension)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    told = []
    try:
        for line in process.stderr:
            told.append(line)
            if found := re.search(r"running on (http://\S+)", line):
                threading.Thread(target=process.stderr.read, daemon=True).start()  # each request is a line
                yield f"{found[1]}/v1", process
                return
        sys.exit("".join(told))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait()
