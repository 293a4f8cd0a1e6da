"""Cases: judgements of several people, what is blurred, what is handed over, and each way to tamper with it."""

import io
import json
import shutil
import zipfile

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import Image
from typer.testing import CliRunner

from pickout.cli.app import build
from pickout.gallery.audit.heads import verifier
from pickout.serve import archive as archives
from pickout.serve.archive import verify_archive
from pickout.serve.blurring import redacted_jpeg

URL = "/v1/galleries/people/cases"


def open_case(server, headers=None, name="rucksack"):
    made = server.client.post(URL, json={"name": name, "about": "seen at noon"}, headers=headers)
    assert made.status_code == 201, made.text
    return made.json()["id"]


def mark(server, case, crops, verdict="fits", headers=None, **more):
    body = {"crops": crops, "verdict": verdict, **more}
    answer = server.client.post(f"{URL}/{case}/marks", json=body, headers=headers)
    assert answer.status_code == 204, answer.text


def read(server, case, headers=None):
    return server.client.get(f"{URL}/{case}", headers=headers).json()


def test_marks_notes_and_searches_of_two_people_stand_in_one_case(server):
    ana, ben, ids = server.token("search"), server.token("search"), server.ids()
    case = open_case(server, ana)
    mark(server, case, [ids["0001.png"], ids["0002.png"]], "fits", ana, reason="red bag", sentence="a red bag")
    mark(server, case, [ids["0002.png"]], "no", ana)
    mark(server, case, [ids["0001.png"]], "maybe", ben, reason="too small")
    body = {"sentences": ["a red bag"], "case": case}
    assert server.client.post("/v1/galleries/people/search", json=body, headers=ben).status_code == 200
    server.client.post(f"{URL}/{case}/notes", json={"text": "<script>alert(1)</script>"}, headers=ben)
    told = read(server, case, ana)
    marks = {crop["id"]: [(each["verdict"], each["reason"]) for each in crop["marks"]] for crop in told["crops"]}
    assert marks == {ids["0001.png"]: [("fits", "red bag"), ("maybe", "too small")], ids["0002.png"]: [("no", "")]}
    assert len({each["by"] for crop in told["crops"] for each in crop["marks"]}) == 2
    assert [each["told"]["query"] for each in told["queries"]] == [{"texts": ["a red bag"]}]
    assert told["notes"][0]["text"] == "<script>alert(1)</script>"
    mark(server, case, [ids["0002.png"]], None, ana)
    assert [crop["id"] for crop in read(server, case, ana)["crops"]] == [ids["0001.png"]]
    assert server.client.get(URL, headers=ana).json()["cases"][0]["marks"] == {"differ": 1}
    events = [entry["event"] for entry in server.log() if "event" in entry]
    assert events == ["case opened", "marked", "marked", "marked", "note written", "marked"]
    assert not any(crop in json.dumps(server.log()) for crop in ids.values())


def test_a_case_is_seen_by_its_maker_and_whoever_sees_the_whole_gallery(server):
    some, other, all_ = server.token("search", cameras=["cam_a"]), server.token("search", cameras=["cam_a"]), None
    all_ = server.token("search")
    case, ids = open_case(server, some), server.ids()
    for headers, status in ((some, 200), (other, 404), (all_, 200)):
        assert server.client.get(f"{URL}/{case}", headers=headers).status_code == status
        assert len(server.client.get(URL, headers=headers).json()["cases"]) == (status == 200)
    mark(server, case, [ids["0003.png"]], headers=all_)  # of cam_b
    assert read(server, case, some)["crops"] == []
    body = {"crops": [ids["0003.png"]], "verdict": "fits"}
    assert server.client.post(f"{URL}/{case}/marks", json=body, headers=some).status_code == 404
    search = {"sentences": ["x"], "case": case}
    assert server.client.post("/v1/galleries/people/search", json=search, headers=other).status_code == 404


def test_a_crop_that_is_erased_is_forgotten_by_each_case(server):
    case, crop = open_case(server), server.ids()["0001.png"]
    mark(server, case, [crop])
    server.client.post("/v1/galleries/people/erase", json={"crops": [crop]})
    assert read(server, case)["crops"] == []
    assert crop.encode() not in (server.state / "cases.sqlite").read_bytes()


def test_a_case_can_be_deleted(server):
    case = open_case(server)
    assert server.client.delete(f"{URL}/{case}").status_code == 204
    assert server.client.get(f"{URL}/{case}").status_code == 404
    assert server.client.get(URL).json() == {"cases": []}


def test_a_case_is_deleted_by_its_maker_or_an_admin_and_by_nobody_else(server):
    ana, bob, admin = server.token("search"), server.token("search"), server.token("search", "admin")
    for headers in (ana, admin):
        case = open_case(server, ana)
        note = server.client.post(f"{URL}/{case}/notes", json={"text": "x"}, headers=bob)
        assert note.status_code == 201
        assert server.client.delete(f"{URL}/{case}", headers=bob).status_code == 403
        assert len(read(server, case, ana)["notes"]) == 1
        assert server.client.delete(f"{URL}/{case}", headers=headers).status_code == 204
    assert [line["event"] for line in server.log()].count("note written") == 2


def test_a_face_is_shown_only_with_a_reason_and_to_whom_may_see_it(server):
    case, crop = open_case(server), server.ids()["0001.png"]
    post = lambda headers=None, **body: server.client.post(  # noqa: E731
        f"{URL}/{case}/redactions", json={"crops": [crop], **body}, headers=headers
    )
    assert post(head=False).status_code == 422
    assert post(server.token("search", blurred=True), head=False, reason="x").status_code == 422
    assert post(server.token("search"), head=False, reason="asked by the court").status_code == 204


def test_what_is_redacted_cannot_be_seen():
    image = Image.effect_noise((40, 120), 90).convert("RGB")
    stream = io.BytesIO()
    image.save(stream, "PNG")
    shown = Image.open(io.BytesIO(redacted_jpeg(stream.getvalue(), [(0.5, 0.5, 0.9, 0.25)])))
    spread = lambda box: max(high - low for low, high in shown.crop(box).getextrema())  # noqa: E731
    assert spread((0, 0, 40, 26)) < 60  # the head
    assert spread((24, 64, 38, 86)) < 8  # the box, without the edge that JPEG smears
    assert spread((0, 90, 20, 120)) > 120
    plain = Image.open(io.BytesIO(redacted_jpeg(stream.getvalue(), [], head=False)))
    assert max(high - low for low, high in plain.crop((0, 0, 40, 26)).getextrema()) > 120


@pytest.fixture
def handed_over(server, tmp_path):
    """An archive, and the key that it is signed with."""
    case, ids = open_case(server), server.ids()
    mark(server, case, [ids["0001.png"], ids["0002.png"]], reason="<b>bag</b>")
    mark(server, case, [ids["0003.png"]], "no")
    server.client.post("/v1/galleries/people/search", json={"sentences": ["a bag"], "case": case})
    body = {"crops": [ids["0002.png"]], "head": False, "reason": "the person asked for"}
    server.client.post(f"{URL}/{case}/redactions", json=body)
    body = {"originals": True, "reason": "for the court"}
    answer = server.client.post(f"{URL}/{case}/archive", json=body)
    assert answer.status_code == 200, answer.text
    file = tmp_path / "case.zip"
    file.write_bytes(answer.content)
    return file, verifier(server.galleries["people"].path)


def test_an_archive_holds_the_case_and_verifies_without_a_server(handed_over, server):
    file, key = handed_over
    server.client.__exit__(None, None, None)
    found = verify_archive(file, key)
    assert found.faults == () and found.key == key
    ids = server.ids()
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        case = json.loads(archive.read("case.json"))
        assert b"<b>bag" not in archive.read("case.html") and b"&lt;b&gt;bag" in archive.read("case.html")
        assert json.loads(archive.read("queries.jsonl"))["told"]["query"] == {"texts": ["a bag"]}
        crops = {crop["id"]: crop for crop in case["crops"]}
        assert f"pictures/{ids['0003.png']}.jpg" not in names and "picture" not in crops[ids["0003.png"]]
        original = archive.read(crops[ids["0001.png"]]["original"])
    row = server.galleries["people"].rows([ids["0001.png"]])[ids["0001.png"]]
    assert original == row.file.read_bytes() and crops[row.id]["sha256"] == row.content
    assert case["fingerprint"] and case["archived"]["reason"] == "for the court"
    server.client.__enter__()


def test_pictures_leave_blurred_and_originals_only_with_a_reason(server):
    case, ids = open_case(server), server.ids()
    mark(server, case, [ids["0001.png"]])
    post = lambda headers=None, **body: server.client.post(f"{URL}/{case}/archive", json=body, headers=headers)  # noqa: E731
    assert post(originals=True).status_code == 422
    assert post(server.token("search", blurred=True), originals=True, reason="x").status_code == 422
    with zipfile.ZipFile(io.BytesIO(post(server.token("search")).content)) as archive:
        assert not [name for name in archive.namelist() if name.startswith("originals")]
        row = server.galleries["people"].rows([ids["0001.png"]])[ids["0001.png"]]
        assert archive.read(f"pictures/{row.id}.jpg") == redacted_jpeg(row.file.read_bytes(), [])
    entry = next(e for e in reversed(server.log()) if e.get("event") == "case handed over")
    assert len(entry["shown"]) == 1


def rewritten(file, change):
    """The archive written again as zip tools write it, with other members."""
    with zipfile.ZipFile(file) as archive:
        members = change([(info, archive.read(info)) for info in archive.infolist()])
    with zipfile.ZipFile(file, "w") as archive:
        for info, content in members:
            archive.writestr(info, content)


def named(part):
    return lambda info: part in info.filename


def edit(part, change):
    return lambda members: [(i, change(c) if part in i.filename else c) for i, c in members]


def rename(members):
    for info, _ in members:
        if info.filename.startswith("pictures"):
            info.filename = "pictures/" + "0" * 32 + ".jpg"
            break
    return members


def sign_again(members):
    """Whoever changes a judgement and signs the whole with a key of his own."""
    key = Ed25519PrivateKey.generate()
    return [(i, c) for i, c in members], key


TAMPERED = {
    "an edited judgement": edit("case.json", lambda c: c.replace(b'"fits"', b'"maybe"')),
    "an edited picture": edit("pictures/", lambda c: c[:-3] + b"xyz"),
    "a changed log of searches": edit("queries.jsonl", lambda c: c.replace(b"a bag", b"a hat")),
    "a search removed from the log": edit("queries.jsonl", lambda _: b""),
    "a removed picture": lambda members: [each for each in members if "pictures/" not in each[0].filename],
    "an added file": lambda members: [*members, (zipfile.ZipInfo("pictures/more.jpg"), b"x")],
    "another order": lambda members: [*members[:2], *reversed(members[2:])],
    "a renamed picture": rename,
    "a replaced signature": edit("signature.txt", lambda c: c[:-9] + b"AAAAAAA=\n"),
    "a replaced key": edit("manifest.json", lambda c: c.replace(b'"key": "pickout/audit/', b'"key": "pickout/audit/0')),
    "a comment of a member": lambda members: [(setattr(i, "comment", b"x"), (i, c))[1] for i, c in members],
}


@pytest.mark.parametrize("how", TAMPERED)
def test_each_way_to_tamper_is_found(handed_over, how):
    file, key = handed_over
    rewritten(file, TAMPERED[how])
    assert verify_archive(file).faults and verify_archive(file, key).faults


def test_writing_the_same_members_again_is_no_fault(handed_over):
    file, key = handed_over
    rewritten(file, lambda members: members)
    faults = verify_archive(file, key).faults  # the same members, but other bytes between them
    assert faults in ((), ("bytes were added or changed between, before or behind the members",))


@pytest.mark.parametrize("share", [0.2, 0.6, 0.999])
def test_a_truncated_archive_is_found(handed_over, share):
    file, key = handed_over
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    assert "cut off" in verify_archive(file, key).faults[0]


@pytest.mark.parametrize("change", [lambda c: b"more" + c, lambda c: c + b"more"])
def test_bytes_beside_the_archive_are_found(handed_over, change):
    file, key = handed_over
    file.write_bytes(change(file.read_bytes()))
    assert verify_archive(file, key).faults


def test_an_archive_that_somebody_signed_anew_is_found_by_the_key_that_was_told(handed_over, tmp_path):
    """He changes a judgement, lists and signs everything with a key of his own: whole in itself, but not yours."""
    file, key = handed_over
    other = tmp_path / "stranger.gallery"
    other.mkdir()
    with zipfile.ZipFile(file) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()[2:]]
    members[0] = (members[0][0], members[0][1].replace(b'"fits"', b'"maybe"'))
    with file.open("wb") as stream:
        archives.write_archive(stream, members, other, verifier(other))
    assert verify_archive(file).faults == ()
    assert "another key than yours" in verify_archive(file, key).faults[0]


def test_the_command_says_what_is_wrong_and_ends_with_3(handed_over, tmp_path):
    file, key = handed_over
    run = CliRunner().invoke(build(), ["case", "verify", str(file), "--key", key, "--json"])
    assert run.exit_code == 0 and json.loads(run.stdout)["faults"] == 0
    changed = tmp_path / "changed.zip"
    shutil.copyfile(file, changed)
    rewritten(changed, TAMPERED["an edited judgement"])
    run = CliRunner().invoke(build(), ["case", "verify", str(changed)])
    assert "case.json: was changed" in run.stdout and run.exception.exit_code == 3


HOSTILE = {
    "case is a list": [("case.json", b"[]")],
    "case is deep": [("case.json", b"[" * 100_000)],
    "a name is a number": {"members": [{"name": 1}]},
    "a name is a list": {"members": [{"name": [1]}]},
    "a name is missing": {"members": [{}]},
    "members are a text": {"members": "case.json"},
    "null": None,
}


@pytest.mark.parametrize("how", HOSTILE)
def test_hostile_archives_are_told_and_raise_nothing(tmp_path, how):
    file, content = tmp_path / "x.zip", HOSTILE[how]
    if isinstance(content, list):
        with file.open("wb") as stream:
            archives.write_archive(stream, content, tmp_path, verifier(tmp_path))
    else:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("manifest.json", json.dumps(content))
            archive.writestr("signature.txt", "x")
    found = verify_archive(file)
    assert found.faults and found.case == {}


@pytest.mark.parametrize("packed", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packed_members_are_never_unpacked(tmp_path, packed):
    """Ours are stored as they are: what is packed is hostile, and may be damaged or a bomb."""
    file = tmp_path / "x.zip"
    with zipfile.ZipFile(file, "w", packed) as archive:
        archive.writestr("manifest.json", json.dumps({"key": "", "members": []}) + " " * 100_000)
        archive.writestr("signature.txt", "x")
    whole = file.read_bytes()
    for content in (whole, whole[:44] + bytes(4) + whole[48:]):
        file.write_bytes(content)
        assert "manifest.json: was changed: another form" in verify_archive(file).faults
