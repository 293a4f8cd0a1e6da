"""The log of searches and changes: written whole, provable, and able to forget."""

import hashlib
import json
import os
import subprocess
import sys

import pytest

from pickout.errors import GalleryDamaged, GalleryError, NothingFound, StorageFull, UsageError
from pickout.gallery.audit import heads
from pickout.gallery.audit.heads import as_csv, entries_showing, examine, numbered_entries
from pickout.gallery.audit.log import KEYS, Acting, acting, key_of, record_event
from pickout.gallery.changes.verification import verify
from pickout.gallery.gallery import Gallery

pytest.importorskip("cryptography")

# The test vectors of certificate-transparency for RFC 6962.
LEAVES = [bytes.fromhex(each) for each in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657",
                                           "606162636465666768696a6b6c6d6e6f")]  # fmt: skip
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def root_by_recursion(leaves):
    """RFC 6962, 2.1, word for word."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256().digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return heads.node(root_by_recursion(leaves[:k]), root_by_recursion(leaves[k:]))


def test_roots_are_those_of_the_published_vectors():
    for size, expected in ROOTS.items():
        assert heads.root([heads.leaf(each) for each in LEAVES[:size]]).hex() == expected


def test_proofs_hold_for_every_pair_of_sizes_and_for_no_other_tree():
    leaves = [heads.leaf(str(number).encode()) for number in range(40)]
    for new in range(1, len(leaves) + 1):
        assert heads.root(leaves[:new]) == root_by_recursion(leaves[:new])
        for old in range(new + 1):
            proof = heads.consistency(leaves[:new], old)
            assert len(proof) <= 2 * new.bit_length()
            one, other = heads.root(leaves[:old]), heads.root(leaves[:new])
            assert heads.goes_on(old, one, new, other, proof)
            if 0 < old < new:
                changed = heads.root([heads.leaf(b"x"), *leaves[1:old]])
                assert not heads.goes_on(old, changed, new, other, proof)
                assert not heads.goes_on(old, one, new, changed, proof)
                assert not heads.goes_on(old, one, new, other, proof[:-1])
                assert not heads.goes_on(old, one, new, other, [*proof, proof[-1]])


def log_of(gallery):
    return gallery.path / "audit.jsonl"


def test_an_entry_provably_shows_its_crops_and_no_other(gallery):
    hits = gallery.search("a teal jacket", top=2)
    gallery.search("an orange jacket", top=1)
    assert [number for number, _ in entries_showing(gallery.path, hits[0].id)] == [1]
    text = log_of(gallery).read_text()
    entry = json.loads(text.splitlines()[0])
    assert len(entry["shown"]) == 2 and not any(hit.id in text or hit.path in text for hit in hits)


def test_the_same_crop_looks_different_in_each_entry(gallery):
    for _ in range(2):
        gallery.search("a teal jacket", top=1)
    first, second = (json.loads(line) for line in log_of(gallery).read_text().splitlines())
    assert first["shown"] != second["shown"]


def test_erasing_a_crop_makes_the_log_forget_it_and_stay_provable(gallery):
    hits = gallery.search("a teal jacket", top=2)
    head = heads.sign_head(gallery.path)
    key = key_of(gallery.path, hits[0].id)
    assert key in (gallery.path / KEYS).read_bytes()
    gallery.erase([hits[0].id])
    assert entries_showing(gallery.path, hits[0].id) == []
    assert len(entries_showing(gallery.path, hits[1].id)) == 1
    for file in gallery.path.rglob("*"):
        if file.is_file():
            assert key not in file.read_bytes() and hits[0].id.encode() not in file.read_bytes()
    assert examine(gallery.path, [head]).faults == ()


def test_a_crop_that_was_removed_is_forgotten_by_the_next_erasure(gallery):
    first, second = gallery.search("a teal jacket", top=2)
    gallery.remove([first.id])
    assert key_of(gallery.path, first.id)
    gallery.erase([second.id])
    assert key_of(gallery.path, first.id) is None


def swap(lines):
    lines[1], lines[2] = lines[2], lines[1]


TAMPERING = {
    "edit": lambda lines: lines.__setitem__(1, lines[1].replace(b"jacket", b"jersey")),
    "deletion": lambda lines: lines.pop(2),
    "truncation": lambda lines: lines.__delitem__(slice(3, None)),
    "insertion": lambda lines: lines.insert(2, lines[0]),
    "order": swap,
    "replacement": lambda lines: lines.__setitem__(slice(None), [line.replace(b"user", b"usr") for line in lines]),
    "emptied": lambda lines: lines.clear(),
}


@pytest.mark.parametrize("way", TAMPERING)
def test_tampering_is_detected_given_an_earlier_head(gallery, way):
    for _ in range(5):
        gallery.search("a teal jacket", top=1)
    head = heads.sign_head(gallery.path)
    gallery.search("an orange coat", top=1)
    assert examine(gallery.path, [head]).faults == ()
    lines = log_of(gallery).read_bytes().splitlines(keepends=True)
    TAMPERING[way](lines)
    log_of(gallery).write_bytes(b"".join(lines))
    (gallery.path / heads.HEADS).unlink()
    assert examine(gallery.path).faults == ()  # nothing to hold it against
    assert len(examine(gallery.path, [head]).faults) == 1


def test_a_replaced_log_with_a_replaced_key_is_detected(gallery):
    gallery.search("a teal jacket")
    head = heads.sign_head(gallery.path)
    for name in ("audit.jsonl", heads.KEY, heads.HEADS):
        (gallery.path / name).unlink()
    gallery.search("a teal jacket")
    heads.sign_head(gallery.path)
    assert "not signed with this log's key" in examine(gallery.path, [head]).faults[0]


def test_a_witness_checks_the_proof_without_the_log(gallery):
    gallery.search("a teal jacket")
    old, key = heads.sign_head(gallery.path), heads.verifier(gallery.path)
    for _ in range(20):
        gallery.search("an orange coat", top=1)
    new = heads.sign_head(gallery.path)
    proof = heads.proof(gallery.path, old, new)
    assert heads.check_proof(heads.read_head(old.text), proof, key).size == 21
    assert len(proof.partition("\n\n")[0].splitlines()) <= 1 + 2 * 5
    with pytest.raises(GalleryDamaged, match="does not go on"):
        heads.check_proof(old, proof.replace("\n", "\n" + heads.base64.b64encode(bytes(32)).decode() + "\n", 1), key)
    forged = heads.Head(old.origin, old.size, old.root, old.text.replace("\n1\n", "\n2\n"))
    with pytest.raises(GalleryDamaged, match="not signed"):
        heads.check_proof(forged, proof, key)


@pytest.mark.parametrize("text", ["", "a\nb", "x\n1\nAAAA\n\nno", "x\n9" * 10_000, "old 3\n\n"])
def test_what_is_no_head_is_told(text):
    with pytest.raises(UsageError):
        heads.read_head(text)


def test_a_line_that_a_kill_cut_off_is_told_by_the_next_writer(gallery):
    gallery.search("a teal jacket")
    with log_of(gallery).open("ab") as file:
        file.write(b'{"time": "20')
    assert ["last line" in fault.what for fault in verify(gallery.path)] == [True]
    gallery.search("an orange coat")
    lines = log_of(gallery).read_bytes().splitlines()
    assert [json.loads(line).get("event", "search") for line in (lines[0], *lines[2:])] == [
        "search",
        "mended",
        "search",
    ]
    assert lines[1] == b'{"time": "20'  # a log only grows
    assert list(verify(gallery.path)) == []
    lines[1] = b'{"time": "2026'
    log_of(gallery).write_bytes(b"\n".join([*lines, b""]))
    assert ["line 2 is garbled" in fault.what for fault in verify(gallery.path)] == [True]


def test_a_line_that_is_not_written_whole_leaves_no_piece_and_the_search_gives_nothing(gallery, monkeypatch):
    gallery.search("a teal jacket")
    before = log_of(gallery).read_bytes()
    write, calls = os.write, []

    def full(handle, data):
        calls.append(len(data))
        if len(calls) == 1:
            return write(handle, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pickout.gallery.audit.log.os.write", full)
    with pytest.raises(StorageFull):
        gallery.search("an orange coat")
    assert log_of(gallery).read_bytes() == before


def test_lines_of_an_older_version_are_read(gallery):
    old = {"time": "2026-01-01T00:00:00+00:00", "user": "a", "sentence": "x", "query": {}, "where": {}, "top": 1,
           "page": 1, "results": 1, "model": "m"}  # fmt: skip
    log_of(gallery).write_text(json.dumps(old) + "\n")
    hit = gallery.search("a teal jacket", top=1)[0]
    assert list(verify(gallery.path)) == []
    assert [number for number, _ in entries_showing(gallery.path, hit.id)] == [2]
    assert [entry["number"] for entry in numbered_entries(gallery.path)] == [1, 2]


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_log_that_leads_elsewhere_is_refused(gallery, tmp_path, kind):
    if kind == "link":
        log_of(gallery).symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(log_of(gallery))
    with pytest.raises(GalleryError, match=r"audit\.jsonl"):
        gallery.search("a teal jacket")
    assert not (tmp_path / "elsewhere").exists()


def test_the_account_is_the_systems_not_the_environments(gallery, monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody else")
    gallery.search("a teal jacket")
    assert "somebody else" not in log_of(gallery).read_text()


def test_what_is_done_for_somebody_is_told_with_the_purpose(gallery):
    with acting(Acting("token ana", "server", "missing person")):
        gallery.search("a teal jacket")
        record_event(gallery.path, "hold", reason="court order")
    search, hold = (json.loads(line) for line in log_of(gallery).read_text().splitlines())
    assert (search["user"], search["via"], search["purpose"]) == ("token ana", "server", "missing person")
    assert (hold["event"], hold["reason"], hold["user"]) == ("hold", "court order", "token ana")


def test_a_spreadsheet_runs_no_formula_of_a_log(gallery):
    gallery.search("=1+2 jacket, teal", top=1)
    rows = "".join(as_csv(numbered_entries(gallery.path)))
    assert "'=1+2 jacket, teal" in rows and len(rows.splitlines()) == 2


def test_garbled_keys_are_an_error_not_a_traceback(gallery):
    gallery.search("a teal jacket")
    (gallery.path / KEYS).write_bytes(b"no database" * 1000)
    with pytest.raises(GalleryDamaged, match=KEYS):
        gallery.search("a teal jacket")


def test_writers_in_many_processes_leave_whole_lines(gallery):
    code = (
        "import sys; from pathlib import Path; from pickout.gallery.audit.log import record_event\n"
        "for n in range(50): record_event(Path(sys.argv[1]), 'looked', ['%032x' % n], number=n, filler='x' * 3000)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(gallery.path)]) for _ in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    entries = list(numbered_entries(gallery.path))
    assert len(entries) == 150 and all(entry["event"] == "looked" for entry in entries)
    assert len(entries_showing(gallery.path, f"{7:032x}")) == 3


def run(capsys, *arguments):
    from pickout.cli.app import main

    with pytest.raises(SystemExit) as stop:
        main([str(each) for each in arguments])
    return stop.value.code or 0, capsys.readouterr()


def test_the_whole_way_of_a_witness_on_the_command_line(gallery, tmp_path, capsys):
    hit = gallery.search("a teal jacket")[0]
    path = gallery.path
    (tmp_path / "old").write_text(run(capsys, "audit", "head", path)[1].out)
    key = run(capsys, "audit", "head", path, "--public")[1].out.strip()
    gallery.search("an orange coat", top=1)
    (tmp_path / "proof").write_text(run(capsys, "audit", "head", path, "--since", tmp_path / "old")[1].out)
    code, told = run(capsys, "audit", "witness", tmp_path / "old", tmp_path / "proof", key, "--json")
    assert code == 0 and json.loads(told.out)["entries"] == 2
    assert run(capsys, "audit", "verify", path, "--head", tmp_path / "old")[0] == 0
    assert "a teal jacket" in run(capsys, "audit", "shown", path, hit.id)[1].out
    assert len(run(capsys, "audit", "export", path, "--form", "csv")[1].out.splitlines()) == 3
    log_of(gallery).write_bytes(log_of(gallery).read_bytes().splitlines(keepends=True)[1])
    code, told = run(capsys, "audit", "verify", path, "--head", tmp_path / "old")
    assert code == 3 and "were signed" in told.out
    code, told = run(capsys, "audit", "head", path, "--since", tmp_path / "old")
    assert code == 3 and "does not go on" in told.err
    Gallery.open(path).erase([hit.id])
    code, _ = run(capsys, "audit", "shown", path, "*")
    assert code in (0, NothingFound.exit_code)


@pytest.mark.parametrize("size", ["9" * 5000, "\u0661\u0662", "-1", "1_0", " 1", ""])
def test_a_head_of_a_strange_size_is_none(size):
    with pytest.raises(UsageError, match="no head"):
        heads.read_head(f"pickout/audit/x\n{size}\nAAAA\n\n\u2014 a AAAA\n")


@pytest.mark.parametrize("nonce", ["zz", "0", "\u00e9", "", "00" * 16])
def test_an_entry_whose_nonce_was_changed_shows_nothing_and_hides_no_other(tmp_path, nonce):
    record_event(tmp_path, "looked at", ["a" * 32])
    log = tmp_path / "audit.jsonl"
    changed = {**json.loads(log.read_text()), "nonce": nonce}
    log.write_text(json.dumps(changed) + "\n" + log.read_text())
    assert [number for number, _ in entries_showing(tmp_path, "a" * 32)] == [2]


def test_no_key_is_made_and_nothing_signed_where_a_gallery_was(tmp_path):
    for ask in (heads.sign_head, heads.verifier):
        with pytest.raises(GalleryError, match="no such folder"):
            ask(tmp_path / "moved.gallery")
    assert not (tmp_path / "moved.gallery").exists()
