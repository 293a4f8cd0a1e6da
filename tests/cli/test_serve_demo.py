import socket

import pytest

from pickout.cli import serve
from pickout.gallery.gallery import Gallery
from pickout.gallery.search.probability import read_calibration
from pickout.serve import sample


def test_the_demo_draws_people_seen_by_cameras_at_times_once(tmp_path, monkeypatch, capsys):
    street = {"identities": 1, "val_identities": 40, "test_identities": 26, "images": 2, "height": 96, "width": 32}
    monkeypatch.setattr(sample, "STREET", street)
    gallery = Gallery.open(serve.demo_gallery(tmp_path, "cpu"))
    said = capsys.readouterr().err
    assert f"once; they are kept in {tmp_path}" in said and "indexing: 52 of 52" in said
    assert 2 <= said.count("drawing: ") <= 5 and "calibrating: " in said
    told = [row.metadata for row in gallery.rows(gallery.choose(["*"])).values()]
    assert len(told) == 52 and all(each.camera and each.time and each.track for each in told)
    assert read_calibration(gallery.path, gallery.manifest) is not None
    before = (tmp_path / "done").stat().st_mtime_ns
    assert serve.demo_gallery(tmp_path, "cpu") == gallery.path
    assert (tmp_path / "done").stat().st_mtime_ns == before


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_port_that_is_taken_is_told_before_anybody_is_drawn(host, run, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, errors = run("serve", "--demo", "--state", tmp_path / "state", "--host", host, "--port", port)
    assert code == 2 and f"cannot listen on {host}:{port}" in errors and "--port" in errors
    assert "The page" not in errors and not (tmp_path / "state").exists()
