"""A day at the API: the same questions as the command line, and whatever a command does to a gallery."""

import io
import json

import pytest
from PIL import Image
from small_server import draw_crop, result_of

from pickout.data.data_set import DataSet
from pickout.gallery.gallery import Gallery
from pickout.gallery.search.filters import Where
from pickout.gallery.storage.rows import Metadata


def search(server, gallery="people", headers=None, **body):
    return server.client.post(f"/v1/galleries/{gallery}/search", json=body, headers=headers)


def test_a_search_gives_what_the_gallery_gives(server, encoder):
    told = search(server, sentences=["a teal jacket"], top=3).json()
    found = Gallery.open(server.galleries["people"].path, encoder).search("a teal jacket", top=3)
    assert [hit["id"] for hit in told["candidates"]] == [hit.id for hit in found]
    assert told["candidates"][0]["camera"] == "cam_a"
    assert not {"file", "path"} & set(told["candidates"][0])
    assert server.log()[-2]["via"] == "server" and server.log()[-2]["purpose"] == "incident"


def test_filters_negation_grouping_and_pages_are_those_of_the_gallery(server, encoder):
    gallery = Gallery.open(server.galleries["people"].path, encoder)
    for body, where in (
        ({"cameras": ["cam_a", "cam_b"]}, Where(cameras=["cam_a", "cam_b"])),
        ({"not_cameras": ["cam_a"]}, Where(not_cameras=["cam_a"])),
        ({"labels": {"colour": ["red", "white"]}}, Where(labels={"colour": ["red", "white"]})),
        ({"not_labels": {"colour": ["red"]}}, Where(not_labels={"colour": ["red"]})),
    ):
        told = search(server, sentences=["a teal jacket"], where=body, top=2, page=2).json()
        found = gallery.ask("a teal jacket", where=where, top=2, page=2)
        assert [hit["id"] for hit in told["candidates"]] == [hit.id for hit in found.hits]
        assert told["passed"] == found.passed
    told = search(server, sentences=["teal"], where={"after": "2026-03-02", "before": "2026-03-02T11:00"}).json()
    assert told["passed"] == 1


def test_pictures_crops_and_what_is_not_wanted(server):
    ids = server.ids()
    file = io.BytesIO()
    Image.open(server.galleries["people"].rows([ids["0005.png"]])[ids["0005.png"]].file).save(file, "PNG")
    sent = server.client.post("/v1/galleries/people/pictures", files={"file": ("../../x.png", file.getvalue())})
    assert sent.status_code == 201
    told = search(server, pictures=[sent.json()["picture"]], top=1).json()
    assert told["candidates"][0]["id"] == ids["0005.png"]
    assert search(server, more_like=[ids["0002.png"]], top=1).json()["candidates"][0]["id"] == ids["0002.png"]
    told = search(server, sentences=["black hair"], without=["a teal jacket"], less_like=[ids["0004.png"]]).json()
    assert told["query"]["without"] == ["a teal jacket"]
    assert search(server, pictures=["0" * 32]).status_code == 404


def test_the_sentence_is_read_for_its_filters_and_can_be_left_alone(server):
    sentence = "a man with a teal jacket at camera cam_a after 9 am on 1 March 2026"
    told = search(server, sentences=[sentence]).json()
    assert told["parse"]["description"] == "a man with a teal jacket"
    assert told["where"] == {"cameras": ["cam_a"], "after": "2026-03-01T09:00:00", "before": "2026-03-02T00:00:00"}
    assert told["passed"] == 2
    assert search(server, sentences=[sentence], parse=False).json()["query"]["texts"] == [sentence]
    parsed = server.client.post("/v1/galleries/people/parse", json={"sentence": sentence}).json()
    assert parsed == told["parse"]
    yesterday = {"sentence": "a man yesterday", "now": "2026-03-02T08:00"}
    parsed = server.client.post("/v1/galleries/people/parse", json=yesterday).json()
    assert parsed["where"] == {"during": ["2026-03-01T00:00:00/2026-03-02T00:00:00"]}


def test_a_gallery_tells_how_many_crops_have_each_value(server):
    told = server.client.get("/v1/galleries/people").json()
    assert told["crops"] == 6
    assert told["values"]["camera"] == {"cam_a": 2, "cam_b": 2, "cam_c": 1}
    assert told["values"]["label:colour"]["teal"] == 1
    assert server.client.get("/v1/galleries").json() == {"galleries": ["other", "people"]}


def test_pictures_of_a_crop(server):
    crop = server.ids()["0001.png"]
    row = server.galleries["people"].rows([crop])[crop]
    assert server.client.get(f"/v1/galleries/people/crops/{crop}").json()["camera"] == "cam_a"
    assert server.client.get(f"/v1/galleries/people/crops/{crop}/thumbnail").content == row.thumbnail
    original = server.client.get(f"/v1/galleries/people/crops/{crop}/original?purpose=research")
    assert original.content == row.file.read_bytes() and original.headers["content-type"] == "image/png"
    assert server.log()[-1]["event"] == "original looked at"


def test_faces_are_blurred_on_request(server):
    crop = server.ids()["0002.png"]
    row = server.galleries["people"].rows([crop])[crop]
    told = server.client.get(f"/v1/galleries/people/crops/{crop}/thumbnail?blur=true").content
    before, after = (Image.open(io.BytesIO(each)).convert("RGB") for each in (row.thumbnail, told))
    assert after.size == before.size and told != row.thumbnail
    assert after.getpixel((12, 60)) == pytest.approx(before.getpixel((12, 60)), abs=12)


def test_an_original_that_was_swapped_is_not_given_out(server, tmp_path):
    crop = server.ids()["0001.png"]
    file = server.galleries["people"].rows([crop])[crop].file
    secret = tmp_path / "secret"
    secret.write_text("not a crop")
    before = file.read_bytes()
    file.unlink()
    file.symlink_to(secret)
    answer = server.client.get(f"/v1/galleries/people/crops/{crop}/original")
    file.unlink()
    file.write_bytes(before)
    assert answer.status_code == 422 and "not a crop" not in answer.text and str(tmp_path) not in answer.text


def upload(server, *files, headers=None, **metadata):
    sent = [("files", ("a.png", each.read_bytes(), "image/png")) for each in files]
    data = {"metadata": json.dumps(metadata)}
    return server.client.post("/v1/galleries/people/crops", files=sent, data=data, headers=headers)


def test_uploaded_crops_are_found_at_once_and_twice_is_once(server, tmp_path):
    new = [draw_crop(tmp_path / f"new{n}.png", "black", "blue", "yellow", shade=100 + n) for n in range(3)]
    report = result_of(upload(server, *new, camera="door", time="2026-05-01T12:00", labels={"case": "7"}))
    assert report["added"] == 3 and len(report["crops"]) == 3
    told = search(server, sentences=["a blue jacket and yellow trousers"], where={"cameras": ["door"]}).json()
    assert {hit["id"] for hit in told["candidates"]} == set(report["crops"])
    assert told["candidates"][0]["labels"] == {"case": "7"} and told["candidates"][0]["time"] == "2026-05-01T12:00:00"
    again = result_of(upload(server, *new, camera="door", time="2026-05-01T12:00", labels={"case": "7"}))
    assert (again["added"], again["unchanged"]) == (0, 3)
    assert server.client.get("/v1/galleries/people").json()["crops"] == 9


def test_metadata_can_be_told_for_each_file(server, tmp_path):
    new = [draw_crop(tmp_path / f"new{n}.png", shade=100 + n) for n in range(2)]
    sent = [("files", ("a.png", each.read_bytes(), "image/png")) for each in new]
    told = json.dumps([{"camera": "x", "box": [1, 2, 30, 40], "frame": 7, "video": "v", "track": "t"}, {"camera": "y"}])
    report = result_of(server.client.post("/v1/galleries/people/crops", files=sent, data={"metadata": told}))
    crops = [server.client.get(f"/v1/galleries/people/crops/{crop}").json() for crop in report["crops"]]
    assert {(crop["camera"], crop["frame"], str(crop["box"])) for crop in crops} == {
        ("x", 7, "[1, 2, 30, 40]"),
        ("y", None, "None"),
    }
    sent = [("files", ("a.png", new[0].read_bytes(), "image/png"))]
    answer = server.client.post("/v1/galleries/people/crops", files=sent, data={"metadata": told})
    assert answer.status_code == 422


def test_an_upload_that_the_server_did_not_finish_is_finished_when_it_starts_again(serve, tmp_path, encoder):
    server = serve()
    uploads = server.service.uploads(server.galleries["people"])
    new = draw_crop(tmp_path / "new.png", "black", "blue", "yellow", shade=100)
    with uploads.keep([(new.read_bytes(), Metadata(camera="door"))]):
        pass  # and then it died
    (uploads.folder / "half").mkdir()
    (uploads.folder / "half" / ".pending").touch()
    again = serve()
    assert again.client.get("/v1/galleries/people").json()["values"]["camera"]["door"] == 1
    assert uploads.pending() == [] and not (uploads.folder / "half").exists()


def test_a_folder_of_the_server_is_indexed_where_its_owner_allows_it(serve, tmp_path):
    server = serve(folders=(tmp_path / "allowed",))
    draw_crop(tmp_path / "allowed" / "cam_z" / "1.png", shade=200)
    draw_crop(tmp_path / "elsewhere" / "1.png", shade=201)
    (tmp_path / "allowed" / "link").symlink_to(tmp_path / "elsewhere")
    body = {"folder": str(tmp_path / "allowed"), "camera_from": "folder"}
    report = result_of(server.client.post("/v1/galleries/people/index", json=body))
    assert report["added"] == 1
    for folder in ("elsewhere", "allowed/../elsewhere", "allowed/link", "nowhere", "allowed/\x00"):
        body = {"folder": f"{tmp_path}/{folder}"}
        assert server.client.post("/v1/galleries/people/index", json=body).status_code == 404
    assert server.client.post("/v1/galleries/people/index", json={"folder": "/etc"}).status_code == 404
    body = {"folder": str(tmp_path / "allowed"), "exclude": ["[a"]}
    assert server.client.post("/v1/galleries/people/index", json=body).status_code == 422


def test_crops_are_described_removed_and_erased(server):
    ids = server.ids()
    body = {"crops": [ids["0001.png"]], "camera": "hall", "labels": {"case": "9"}}
    assert server.client.post("/v1/galleries/people/update", json=body).json() == {"updated": 1}
    assert search(server, sentences=["teal"], where={"cameras": ["hall"]}).json()["passed"] == 1
    body = {"crops": [ids["0001.png"]], "track": "7", "forget": ["camera", "case"]}
    assert server.client.post("/v1/galleries/people/update", json=body).json() == {"updated": 1}
    told = server.client.get(f"/v1/galleries/people/crops/{ids['0001.png']}").json()
    assert (told["camera"], told["labels"], told["track"]) == (None, {"colour": "teal"}, "7")
    body = {"where": {"cameras": ["cam_b"]}}
    assert server.client.post("/v1/galleries/people/remove", json=body).json() == {"removed": 2}
    body = {"crops": [ids["0001.png"]]}
    assert server.client.post("/v1/galleries/people/erase", json=body).json()["erased"] == 1
    told = search(server, sentences=["teal"]).json()
    assert told["passed"] == 3 and ids["0001.png"] not in {hit["id"] for hit in told["candidates"]}
    assert server.client.post("/v1/galleries/people/erase", json={}).status_code == 422
    assert server.client.post("/v1/galleries/people/erase", json=body).status_code == 404
    changes = [(entry["change"], entry["user"], entry["via"]) for entry in server.log() if "change" in entry]
    assert [change for change, _, _ in changes] == ["update", "update", "remove", "erase"]


@pytest.mark.parametrize(
    "told",
    [
        {"box": [0, 0, 0, 0]},
        {"box": [1, 2, -3, 4]},
        {"labels": {"date": "blue"}},
        {"labels": {"Camera": "cam_b"}, "camera": "cam_a"},
        {"labels": {"Track ID": "7"}},
        {"labels": {"colour": " red "}},
        {"labels": {"colour": "None"}},
        {"labels": {"colour\xa0": "red"}},
        {"labels": {"shelf": "7.0"}},
        {"camera": "NA"},
        {"track": "7.0"},
    ],
)
def test_an_upload_that_no_row_could_have_is_refused_before_anything_is_kept(server, tmp_path, told):
    answer = upload(server, draw_crop(tmp_path / "new.png", shade=100), **told)
    assert answer.status_code == 422, answer.text
    assert not list(server.service.uploads(server.galleries["people"]).folder.rglob("*.png"))


def test_what_an_upload_tells_is_kept_to_the_letter(server, tmp_path):
    told = {"camera": "gate\u3000", "track": "0x7", "frame": 7, "box": [-1, 2, 3, 4]}
    told |= {"time": "2026-03-01T14:30:00.000001", "labels": {"cafe\u0301": "naïve 7.01", "note": "not, 'quoted' so"}}
    result = result_of(upload(server, draw_crop(tmp_path / "new.png", shade=100), **told))
    row = server.client.get(f"/v1/galleries/people/crops/{result['crops'][0]}").json()
    assert {key: row[key] for key in told} == {**told, "labels": {"caf\xe9": "naïve 7.01", "note": "not, 'quoted' so"}}


def test_what_a_busy_server_refuses_it_does_not_keep(server, tmp_path):
    body = {"crops": [server.ids()["0001.png"]], "pictures": True}
    exported = server.client.post("/v1/galleries/people/export", json=body).content
    server.service.jobs._limit = 0
    assert upload(server, draw_crop(tmp_path / "new.png", shade=100), camera="door").status_code == 503
    answer = server.client.post("/v1/galleries/people/import", files={"file": ("a.pickout", exported)})
    assert answer.status_code == 503, answer.text
    assert not list(server.service.uploads(server.galleries["people"]).folder.rglob("*.png"))
    assert not list((server.state / "imports").iterdir())


def test_one_upload_that_cannot_be_indexed_keeps_no_server_from_starting(serve, tmp_path, caplog):
    server = serve()
    uploads = server.service.uploads(server.galleries["people"])
    with uploads.keep([(draw_crop(tmp_path / "bad.png", shade=90).read_bytes(), Metadata(camera="door"))]) as bad:
        pass
    (bad / ".table.jsonl").write_text("garbled")
    with uploads.keep([(draw_crop(tmp_path / "new.png", shade=91).read_bytes(), Metadata(camera="door"))]):
        pass
    again = serve()
    assert again.client.get("/v1/galleries/people").json()["crops"] == 7
    assert f"{bad}: not indexed" in caplog.text and uploads.pending() == [bad]


def test_a_picture_that_was_erased_is_not_kept_when_it_is_sent_again(server, tmp_path):
    new = [draw_crop(tmp_path / f"new{n}.png", shade=100 + n) for n in range(2)]
    crops = result_of(upload(server, *new, camera="er"))["crops"]
    folder = server.service.uploads(server.galleries["people"]).folder
    assert server.client.post("/v1/galleries/people/erase", json={"crops": crops[:1]}).json()["erased"] == 1
    assert len(list(folder.rglob("*.png"))) == 1
    report = result_of(upload(server, *new, camera="er"))
    assert report["erased"] == 1 and report["crops"] == crops[1:]
    assert len(list(folder.rglob("*.png"))) == 1, "no row leads to the other, so nothing could delete it"


def test_a_held_crops_picture_stays_however_late_the_hold_came(server, tmp_path):
    crops = result_of(upload(server, draw_crop(tmp_path / "new.png", shade=100), camera="up"))["crops"]
    other = Gallery.open(server.galleries["people"].path)
    other.retention.hold("case 9", where=Where(cameras=["vault"]))
    other.update(crops, Metadata(camera="vault"))  # the server has not read the rows again
    for change in ("erase", "remove"):
        answer = server.client.post(f"/v1/galleries/people/{change}", json={"crops": crops})
        assert answer.status_code == 422 and "case 9" in answer.json()["error"]
    assert len(list(server.service.uploads(server.galleries["people"]).folder.rglob("*.png"))) == 1
    assert not [line for line in server.log() if line.get("event") == "erasing"]


def test_erasing_an_uploaded_crop_deletes_its_picture(server, tmp_path):
    new = draw_crop(tmp_path / "new.png", "black", "blue", "yellow", shade=100)
    crop = result_of(upload(server, new))["crops"][0]
    file = server.galleries["people"].rows([crop])[crop].file
    assert file.exists()
    server.client.post("/v1/galleries/people/erase", json={"crops": [crop]})
    assert not file.exists()
    assert file.name not in "".join(each.read_text() for each in file.parent.glob(".*"))


def test_export_and_import_and_compact(server):
    exported = server.client.post("/v1/galleries/people/export", json={"where": {"cameras": ["cam_a"]}})
    assert exported.status_code == 200 and exported.content[:2] == b"PK"
    assert list((server.state / "exports").iterdir()) == []
    server.client.post("/v1/galleries/people/erase", json={"where": {"cameras": ["cam_a"]}})
    sent = {"file": ("x", exported.content)}
    assert result_of(server.client.post("/v1/galleries/people/import?again=true", files=sent))["added"] == 2
    assert server.client.get("/v1/galleries/people").json()["values"]["camera"]["cam_a"] == 2
    assert result_of(server.client.post("/v1/galleries/people/compact")) == {"compacted": True}
    assert list((server.state / "imports").iterdir()) == []


def test_a_bad_export_is_told_as_the_file_that_was_sent(server):
    exported = server.client.post("/v1/galleries/people/export", json={}).content
    picture = {"pictures": True, "follow": False}
    for content in (b"no archive", b"", b"PK\x05\x06" + bytes(18), exported[:-1], exported[: len(exported) // 2]):
        bad = server.client.post("/v1/galleries/people/import", files={"file": ("../my/people.pickout", content)})
        assert bad.status_code == 422 and bad.json()["kind"] == "DataError", bad.text
        assert bad.json()["error"].startswith("people.pickout: ")
    inside = bytearray(exported)
    inside[exported.index(b"PAR1") + 40] ^= 1
    bad = server.client.post("/v1/galleries/people/import", files={"file": ("people.pickout", bytes(inside))})
    told = json.loads(bad.text.splitlines()[-1])
    assert told["kind"] == "DataError" and told["error"].startswith("people.pickout: ")
    bad = server.client.post(
        "/v1/galleries/people/import", params=picture, files={"file": ("people.pickout", exported)}
    )
    told = server.client.get(f"/v1/jobs/{bad.json()['job']}")
    while not told.json()["ended"]:
        told = server.client.get(f"/v1/jobs/{bad.json()['job']}")
    assert told.json()["error"].startswith("people.pickout: holds no pictures")
    assert list((server.state / "imports").iterdir()) == []


def test_a_rebuild_is_searched_at_once(serve, tmp_path, monkeypatch):
    from colour_encoder import ColourEncoder

    server = serve(folders=(tmp_path,))
    (tmp_path / "model").touch()
    other = ColourEncoder("other")
    server.service.load = lambda _: other
    server.galleries["people"]._load = lambda _: other
    report = result_of(server.client.post("/v1/galleries/people/rebuild", json={"model": str(tmp_path / "model")}))
    assert report["rows"] == 6
    assert server.client.get("/v1/galleries/people").json()["model"] == "other"
    assert search(server, sentences=["a teal jacket"]).json()["passed"] == 6


def test_a_job_can_be_begun_and_asked_about(server):
    begun = server.client.post("/v1/galleries/people/compact?follow=false")
    assert begun.status_code == 202
    job = begun.json()["job"]
    server.service.jobs.own(job, None).ended.wait(30)
    assert server.client.get(f"/v1/jobs/{job}").json()["result"] == {"compacted": True}
    assert server.client.get("/v1/jobs/nothing").status_code == 404


def test_saved_searches(server):
    body = {"name": "teal", "sentences": ["a teal jacket"], "where": {"cameras": ["cam_a"]}}
    assert server.client.post("/v1/galleries/people/saved", json=body).status_code == 201
    assert server.client.get("/v1/galleries/people/saved").json()["saved"][0]["where"] == {"cameras": ["cam_a"]}
    assert search(server, saved="teal").json()["passed"] == 2
    assert search(server, saved="none").status_code == 404
    assert search(server, saved="teal", sentences=["x"]).status_code == 422
    assert server.client.delete("/v1/galleries/people/saved/teal").status_code == 204
    assert server.client.delete("/v1/galleries/people/saved/teal").status_code == 404


def test_an_encoder_that_cannot_be_explained_is_told(server):
    crop = server.ids()["0001.png"]
    answer = server.client.post(f"/v1/galleries/people/crops/{crop}/explain", json={"sentence": "a teal jacket"})
    assert answer.status_code == 409 and "cannot be explained" in answer.json()["error"]


def test_an_explanation_that_an_erasure_clears_meanwhile_is_given(server, encoder, tmp_path, monkeypatch):
    class Found:
        def as_json(self):
            server.service.explained.clear()
            given = {
                "sentence": "a teal jacket",
                "score": 0.5,
                "words": [],
                "patches": None,
                "grid": [1, 1],
                "bank": None,
            }
            return {"schema": "", "meaning": "", "model": "", "fingerprint": "", "shown": {}, **given}

    monkeypatch.setattr("pickout.checkpoints.loaded_model.LoadedModel", type(encoder))
    monkeypatch.setattr("pickout.explain.explanation.measurement_file", lambda _: tmp_path / "none.json")
    monkeypatch.setattr("pickout.explain.explanation.explain", lambda *_, **__: Found())
    crop, body = server.ids()["0001.png"], {"sentence": "a teal jacket"}
    answer = server.client.post(f"/v1/galleries/people/crops/{crop}/explain", json=body)
    assert answer.status_code == 200 and answer.json()["sentence"] == "a teal jacket"
    assert len(server.service.explained) == 1


def test_what_another_process_changes_is_seen(server, encoder):
    path, crop = server.galleries["people"].path, server.ids()["0001.png"]
    Gallery.open(path, encoder).erase([crop])
    told = search(server, sentences=["a teal jacket"]).json()
    assert crop not in {hit["id"] for hit in told["candidates"]}  # at once
    server.galleries["people"].refresh()
    assert search(server, sentences=["a teal jacket"]).json()["passed"] == 5


def test_the_server_tells_how_it_is(server):
    assert server.client.get("/v1/health").json() == {"status": "running"}
    assert server.client.get("/v1/ready").json() == {"status": "ready"}
    search(server, sentences=["teal"])
    told = server.client.get("/v1/metrics").text
    assert 'pickout_requests_total{method="POST",route="/galleries/{gallery}/search",status="200"} 1.0' in told
    assert server.client.get("/docs").status_code == 404  # its page would load scripts from elsewhere
    assert server.client.get("/v1/me").json()["roles"] == ["admin", "audit", "index", "search"]


def test_the_audit_over_http(server):
    from pickout.gallery.audit import heads

    search(server, sentences=["a teal jacket"], top=1)
    old = server.client.get("/v1/galleries/people/audit/head").text
    search(server, sentences=["an orange jacket"], top=1)
    key = server.client.post("/v1/galleries/people/audit/verify", json={"heads": [old]}).json()
    assert key["faults"] == []
    proof = server.client.post("/v1/galleries/people/audit/proof", json={"since": old}).text
    assert heads.check_proof(heads.read_head(old), proof, key["public_key"]).size == key["entries"]
    crop = server.ids()["0001.png"]
    entries = server.client.get(f"/v1/galleries/people/audit/crops/{crop}").json()["entries"]
    assert [entry["sentence"] for entry in entries] == ["a teal jacket"]
    assert len(server.client.get("/v1/galleries/people/audit?form=csv").text.splitlines()) == 3
    assert len(server.client.get("/v1/galleries/people/audit?start=2&count=1").text.splitlines()) == 1
    lines = server.galleries["people"].path / "audit.jsonl"
    lines.write_text(lines.read_text().replace("teal", "blue"))
    told = server.client.post("/v1/galleries/people/audit/verify", json={"heads": [old]}).json()
    assert "changed" in told["faults"][0]


def test_a_gallery_tells_how_it_is_kept_and_what_is_wrong_with_it(server):
    told = server.client.get("/v1/galleries/people/state").json()
    assert (told["rows"], told["search"], told["rebuild"], told["quarantine"]) == (6, "exact", None, [])
    assert "/" not in json.dumps(told)
    assert result_of(server.client.post("/v1/galleries/people/verify?files=true")) == {"faults": 0, "found": []}
    crop = server.ids()["0001.png"]
    file = server.galleries["people"].rows([crop])[crop].file
    away = file.rename(file.with_suffix(".away"))
    (fault,) = result_of(server.client.post("/v1/galleries/people/verify?files=true"))["found"]
    away.rename(file)  # other tests share it
    assert fault["file"] == "0001.png" and "/" not in fault["what"]


def test_an_approximate_search_is_for_many_crops_and_can_be_switched_off(server):
    few = server.client.post("/v1/galleries/people/approximate", json={})
    assert "searched exactly" in json.loads(few.text.splitlines()[-1])["error"]
    off = server.client.post("/v1/galleries/people/approximate", json={"off": True})
    assert result_of(off) == {"search": "exact"}


def test_calibration_draws_people_where_no_data_is_named(server, monkeypatch):
    seen = []
    monkeypatch.setattr("pickout.serve.upkeep_routes.draw_strangers", lambda *at: seen.append(at) or at[0])
    answer = server.client.post("/v1/galleries/people/calibrate", json={})
    assert len(seen) == 1 and json.loads(answer.text.splitlines()[-1])["kind"] == "DataMissing"
    assert server.client.post("/v1/galleries/people/calibrate", json={"data": "street"}).status_code == 422


def test_a_split_that_drawn_people_lack_is_named_by_its_set(server, tmp_path, monkeypatch):
    few = DataSet("street", tmp_path, {"val": None, "test": None})
    monkeypatch.setattr("pickout.serve.upkeep_routes.draw_strangers", lambda folder, _: folder)
    monkeypatch.setattr("pickout.serve.upkeep_routes.open_data", lambda *_: few)
    answer = server.client.post("/v1/galleries/people/calibrate", json={"split": "tset"})
    assert json.loads(answer.text.splitlines()[-1])["error"] == "street has no split 'tset'; it has val, test"
