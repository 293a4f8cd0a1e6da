"""Two small galleries of drawn people, and a server of them."""

import json
from datetime import UTC, datetime, timedelta

from colour_encoder import COLOURS
from PIL import Image
from starlette.testclient import TestClient

from pickout.gallery.audit.log import AUDIT
from pickout.gallery.gallery import Gallery
from pickout.serve.access import OWNER, Role
from pickout.serve.app import create_app
from pickout.serve.hosting import hosted
from pickout.serve.service import Service
from pickout.serve.settings import ServeSettings

PURPOSE = {"Pickout-Purpose": "incident"}


def draw_crop(path, hair="black", top="teal", bottom="black", shade=0, size=(24, 72)):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size)
    third = size[1] // 3
    for row, colour in enumerate((hair, top, bottom)):
        image.paste(tuple(round(255 * part) for part in COLOURS[colour]), (0, row * third, size[0], (row + 1) * third))
    image.putpixel((0, 0), (shade % 256, shade // 256 % 256, 77))
    image.save(path)
    return path


PEOPLE = [
    ("cam_a/0001.png", "black", "teal", "black", "2026-03-01T10:00"),
    ("cam_a/0002.png", "brown", "red", "blue", "2026-03-01T12:00"),
    ("cam_b/0003.png", "yellow", "olive", "blue", "2026-03-02T10:00"),
    ("cam_b/0004.png", "black", "white", "black", "2026-03-02T12:00"),
    ("cam_c/0005.png", "black", "orange", "grey", "2026-03-03T10:00"),
    ("0006.png", "brown", "green", "brown", None),
]


def make_gallery(path, crops, encoder):
    table = crops / "table.csv"
    rows = ["image,camera,time,colour"]
    for shade, (name, *colours, time) in enumerate(PEOPLE):
        draw_crop(crops / name, *colours, shade=shade)
        camera = name.partition("/")[0] if "/" in name else ""
        rows.append(f"{name},{camera},{time or ''},{colours[1]}")
    table.write_text("\n".join(rows) + "\n")
    gallery = Gallery.create(path, encoder)
    gallery.add(crops, table=table)
    (gallery.path / AUDIT).unlink()  # the log begins with what a test does
    return gallery


class Server:
    """A service, its application and clients."""

    def __init__(self, paths, state, encoder, loopback=True, **settings):
        self.settings = ServeSettings(watch_seconds=3600, **settings)
        self.state = state
        self.galleries = hosted(paths, lambda _: encoder, self.settings)
        self.service = Service(self.galleries, state, self.settings, lambda _: encoder)
        self.app = create_app(self.service, loopback=loopback, hosts=("127.0.0.1", "testserver"))
        self.client = TestClient(self.app, headers=PURPOSE, client=("127.0.0.1", 1234), raise_server_exceptions=False)

    @property
    def parts(self):
        return self.app.state.parts

    def token(self, *roles, **more):
        """Headers of a new token."""
        expires = datetime.now(UTC) + timedelta(days=1)
        _, secret = self.service.tokens.create(OWNER, "somebody", [Role(each) for each in roles], expires, **more)
        return {"Authorization": f"Bearer {secret}"}

    def ids(self, gallery="people"):
        """Ids by the name of the crop's file."""
        opened = Gallery.open(self.galleries[gallery].path)
        return {row.file.name: row.id for row in opened.rows([known.id for known in opened._store.known()]).values()}

    def log(self, gallery="people"):
        """The entries of the audit."""
        file = self.galleries[gallery].path / "audit.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def result_of(answer):
    """What a followed job ended with."""
    assert answer.status_code == 200, answer.text
    last = json.loads(answer.text.splitlines()[-1])
    assert "result" in last, last
    return last["result"]
