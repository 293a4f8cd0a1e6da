"""Source frames with boxes: which recordings are found, who sees what of them, and what is said where there is none."""

import io
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pickout.gallery.gallery import Gallery

sys.path.insert(0, str(Path(__file__).parents[1] / "video"))

pytestmark = pytest.mark.skipif(find_spec("av") is None, reason="the extra `video` is not installed")

FRAME, BOX, SIZE = 23, (45, 20, 24, 80), (320, 240)


def picture(seconds):
    """Somebody in teal and red at BOX in frame FRAME only; noise everywhere, so that blurring shows."""
    image = np.random.default_rng(1).integers(90, 140, (SIZE[1] // 8, SIZE[0] // 8, 3), dtype=np.uint8)
    image = np.ascontiguousarray(image.repeat(8, 0).repeat(8, 1))
    left, top, width, height = BOX
    if round(10 * seconds) == FRAME:
        image[top : top + height // 2, left : left + width] = (0, 160, 150)
        image[top + height // 2 : top + height, left : left + width] = (20, 20, 40)
    return image


@pytest.fixture
def cut(serve, paths, tmp_path):
    """cut(stated, **settings): a server whose gallery says that a crop was cut from a recording; and the crop's id."""
    from block_people import write_video

    (tmp_path / "clips" / "monday").mkdir(parents=True)
    write_video(tmp_path / "clips" / "monday" / "lobby.mp4", seconds=4, draw=picture)
    left, top, width, height = BOX
    crop = tmp_path / "cut" / "one.png"
    crop.parent.mkdir()
    Image.fromarray(picture(FRAME / 10)[top : top + height, left : left + width]).save(crop)

    def make(stated, frame=FRAME, **settings):
        table = crop.parent / "table.csv"
        table.write_text(f"image,camera,video,frame,box\none.png,lobby,{stated},{frame},{' '.join(map(str, BOX))}\n")
        server = serve(**settings)
        Gallery.open(paths[0], server.galleries["people"].encoder).add(crop.parent, table=table)
        server.galleries["people"].refresh()
        return server, f"/v1/galleries/people/crops/{server.ids()['one.png']}/frame"

    return make


def seen(answer):
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB")).astype(int)


@pytest.mark.parametrize("stated", ["monday/lobby.mp4", "/elsewhere/monday/lobby.mp4", "{tmp}/clips/monday/lobby.mp4"])
def test_the_frame_has_the_box_and_is_recorded(cut, tmp_path, stated):
    server, url = cut(stated.format(tmp=tmp_path), recordings=(tmp_path / "clips",))
    image = seen(server.client.get(url))
    left, top, width, _ = BOX
    assert image.shape == (SIZE[1], SIZE[0], 3)
    assert np.abs(image[top + 20, left + width // 2] - (0, 160, 150)).max() < 40
    assert np.abs(image[top + 20, left - 2] - (255, 210, 31)).max() < 100  # the box
    assert server.log()[-1]["event"] == "frame looked at"
    refused = server.client.get(url, headers={"Pickout-Purpose": "curiosity"})
    assert refused.status_code == 422


def test_what_is_said_where_the_recording_is_not_there_or_another_one(cut, tmp_path):
    server, url = cut("monday/stairs.mp4", recordings=(tmp_path / "clips",))
    answer = server.client.get(url)
    assert answer.status_code == 404 and "stairs.mp4" in answer.text and "--recordings" in answer.text
    other = next(iter(server.ids().values()))
    assert "does not say" in server.client.get(f"/v1/galleries/people/crops/{other}/frame").text


@pytest.mark.parametrize(("frame", "words"), [(5, "does not show this crop"), (400, "has no frame 400")])
def test_another_recording_of_the_same_name_is_not_shown(cut, tmp_path, frame, words):
    server, url = cut("monday/lobby.mp4", frame=frame, recordings=(tmp_path / "clips",))
    answer = server.client.get(url)
    assert answer.status_code in (404, 409) and words in answer.text and str(tmp_path) not in answer.text


def test_a_token_sees_into_the_folders_of_recordings_only_and_its_own_cameras_only(cut, tmp_path):
    server, url = cut(f"{tmp_path}/clips/monday/lobby.mp4")
    assert server.client.get(url).status_code == 200  # the owner of the account could read the file just as well
    mine, other = server.token("search", "index"), server.token("search", cameras=["cam_a"])
    assert "not at hand" in server.client.get(url, headers=mine).text
    assert server.client.get(url, headers=other).json()["error"] == "no crop of this id"


@pytest.mark.parametrize("stated", ["../secret/lobby.mp4", "clips/../../secret/lobby.mp4", "{tmp}/secret/lobby.mp4"])
def test_no_name_leads_out_of_the_folders(cut, tmp_path, stated):
    from block_people import write_video

    (tmp_path / "secret").mkdir()
    write_video(tmp_path / "secret" / "lobby.mp4", seconds=4, draw=picture)
    server, url = cut(stated.format(tmp=tmp_path), recordings=(tmp_path / "clips",))
    assert "not at hand" in server.client.get(url, headers=server.token("search")).text


def test_a_token_of_blurred_faces_sees_nobody_else(cut, tmp_path):
    server, url = cut("monday/lobby.mp4", recordings=(tmp_path / "clips",))
    clear = seen(server.client.get(url))
    blurred = seen(server.client.get(url, headers=server.token("search", blurred=True)))
    detail = lambda image: np.abs(np.diff(image[:, 120:], axis=1)).mean()  # noqa: E731
    assert detail(blurred) < detail(clear) / 10
    left, top, width, height = BOX
    assert (
        np.abs(blurred[top + height - 10, left + width // 2] - clear[top + height - 10, left + width // 2]).max() < 20
    )
