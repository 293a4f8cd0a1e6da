"""A server of two small galleries, asked without a network."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "gallery"))
sys.path.insert(0, str(Path(__file__).parents[1] / "video"))
sys.path.insert(0, str(Path(__file__).parent))

from colour_encoder import ColourEncoder

if all(map(find_spec, ("fastapi", "cryptography", "prometheus_client"))):
    from small_server import Server, draw_crop, make_gallery
else:  # the extra `serve` is not installed
    collect_ignore_glob = ["test_*.py"]
if not all(map(find_spec, ("av", "onnx", "onnxruntime", "supervision", "trackers"))):  # the extra `video`
    collect_ignore = ["test_sent_recordings.py"]


@pytest.fixture
def encoder():
    return ColourEncoder()


@pytest.fixture
def draw():
    return draw_crop


@pytest.fixture(scope="session")
def indexed(tmp_path_factory):
    """Two galleries that are made once; tests get copies, of the same crops."""
    folder = tmp_path_factory.mktemp("indexed")
    return [
        make_gallery(folder / name, folder / f"crops {name}", ColourEncoder()).path
        for name in ("people.gallery", "other.gallery")
    ]


@pytest.fixture
def paths(tmp_path, indexed):
    return [shutil.copytree(path, tmp_path / path.name) for path in indexed]


@pytest.fixture
def serve(paths, tmp_path, encoder):
    """serve(**settings): a running server; stopped at the end of the test."""
    running = []

    def start(loopback=True, **settings):
        server = Server(paths, tmp_path / "state", encoder, loopback, **settings)
        server.client.__enter__()
        running.append(server)
        return server

    yield start
    for server in running:
        server.client.__exit__(None, None, None)


@pytest.fixture
def server(serve):
    return serve()
