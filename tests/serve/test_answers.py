"""What the page gets at once: thumbnails, rows that are read together, drawn people; names with a slash in them."""

import base64
from concurrent.futures import ThreadPoolExecutor

import pytest
from small_server import result_of

from pickout.gallery.gallery import Gallery


def search(server, headers=None, **more):
    body = {"sentences": ["a teal jacket"], "parse": False, **more}
    answer = server.client.post("/v1/galleries/people/search", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["candidates"]


def test_thumbnails_come_with_the_answer_only_where_asked_for_and_blurred_where_the_token_says_so(server):
    assert "thumbnail" not in search(server)[0]
    [best, *_] = search(server, thumbnails=True)
    alone = server.client.get(f"/v1/galleries/people/crops/{best['id']}/thumbnail").content
    assert base64.b64decode(best["thumbnail"]) == alone
    blurred = server.client.get(f"/v1/galleries/people/crops/{best['id']}/thumbnail?blur=true").content
    hidden = search(server, server.token("search", blurred=True), thumbnails=True)[0]["thumbnail"]
    assert base64.b64decode(hidden) == blurred != alone


def test_rows_that_are_asked_for_at_once_are_each_given_to_whom_they_belong(server):
    hosted, ids = server.galleries["people"], list(server.ids().values())
    wanted = [[ids[number % len(ids)], f"{number:032x}"] for number in range(60)]
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(hosted.rows, wanted))
    assert [list(rows) for rows in found] == [[known] for known, _ in wanted]
    Gallery.open(hosted.path).remove(ids[:1])
    assert hosted.rows(ids[:1]) == {}


def test_one_reader_s_error_reaches_everybody_and_the_next_reads_again(server, monkeypatch):
    hosted, [crop, *_] = server.galleries["people"], server.ids().values()
    with monkeypatch.context() as patched:
        patched.setattr(hosted._rows, "rows", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            hosted.rows([crop])
    assert list(hosted.rows([crop])) == [crop]


def test_drawn_people_go_into_an_empty_gallery_only_and_need_the_role(serve, paths, encoder, monkeypatch):
    monkeypatch.setattr("pickout.serve.change_routes.add_sample", lambda *_: 192)
    server = serve()
    url = "/v1/galleries/people/sample"
    assert "empty gallery only" in server.client.post(url).text
    server.service.erase(server.galleries["people"], list(server.ids().values()))
    assert result_of(server.client.post(url)) == {"crops": 192}
    assert server.client.post(url, headers=server.token("search")).status_code == 403
    assert server.client.post(url, headers=server.token("index", cameras=["cam_a"])).status_code == 403
    assert result_of(server.client.post(url, headers=server.token("index"))) == {"crops": 192}


def test_a_saved_search_and_a_watch_may_have_a_slash_in_their_names(server):
    url = "/v1/galleries/people"
    body = {"name": "door 1/2", "sentences": ["a teal jacket"]}
    assert server.client.post(f"{url}/saved", json=body).status_code == 201
    watch = {"name": "a/alarms", "search": "door 1/2", "false_alarms_a_day": 1, "crops_a_day": 100}
    assert server.client.post(f"{url}/watches", json=watch).status_code == 201
    assert server.client.get(f"{url}/watches/a%2Falarms/alarms").json() == {"alarms": []}
    assert server.client.delete(f"{url}/watches/a%2Falarms").status_code == 204
    assert server.client.delete(f"{url}/saved/door%201%2F2").status_code == 204
