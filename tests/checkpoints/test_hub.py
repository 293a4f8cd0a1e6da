import hashlib
import os
import socket
import subprocess
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from local_hub import Hub

from pickout.checkpoints import hub as transfer
from pickout.checkpoints.hub import Fetched, NotOnHub, ask, fetch
from pickout.checkpoints.named_weights import weights_home
from pickout.errors import DownloadFailed, StorageFull

REPOSITORY = "owner/name"
SMALL = b'{"model_type": "clip"}'
LARGE = np.random.default_rng(0).bytes(300_000)


def get(hub: Hub, folder: Path, file: str = "model.safetensors") -> Fetched:
    return fetch(REPOSITORY, file, folder, endpoint=hub.address)


@pytest.mark.parametrize("relative", [False, True])
def test_a_large_file_is_fetched_through_the_redirect_and_checked(hub: Hub, tmp_path: Path, relative: bool) -> None:
    hub.relative = relative
    fetched = get(hub, tmp_path)
    assert fetched.path.read_bytes() == LARGE
    assert fetched.checksum == f"sha256:{hashlib.sha256(LARGE).hexdigest()}"
    assert fetched.downloaded == fetched.size == len(LARGE)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_small_file_is_checked_by_gits_checksum(hub: Hub, tmp_path: Path) -> None:
    fetched = get(hub, tmp_path, "config.json")
    assert fetched.path.read_bytes() == SMALL and fetched.checksum.startswith("git-sha1:")
    hub.altered[f"{REPOSITORY}/config.json"] = SMALL.replace(b"clip", b"clap")
    fetched.path.unlink()
    with pytest.raises(DownloadFailed, match="the hub states git-sha1"):
        get(hub, tmp_path, "config.json")


def test_a_file_that_is_whole_is_not_fetched_again_and_a_damaged_one_is(hub: Hub, tmp_path: Path) -> None:
    get(hub, tmp_path)
    assert get(hub, tmp_path).downloaded == 0 and len(hub.ranges()) == 1
    (tmp_path / "model.safetensors").write_bytes(LARGE[:-1])
    assert get(hub, tmp_path).downloaded == len(LARGE)
    assert (tmp_path / "model.safetensors").read_bytes() == LARGE


def test_a_transfer_that_breaks_off_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    hub.break_after = [100_000, 50_000]
    assert get(hub, tmp_path).path.read_bytes() == LARGE
    assert hub.ranges() == [None, "bytes=100000-", "bytes=150000-"]


def test_a_later_attempt_goes_on_where_an_earlier_one_gave_up(hub: Hub, tmp_path: Path) -> None:
    hub.break_after = [120_000] + [0] * 20
    with pytest.raises(DownloadFailed, match="120,000 bytes are kept, run the same command to go on"):
        get(hub, tmp_path)
    assert not (tmp_path / "model.safetensors").exists()
    hub.break_after, hub.log[:] = [], []
    fetched = get(hub, tmp_path)
    assert hub.ranges() == ["bytes=120000-"]
    assert fetched.downloaded == len(LARGE) - 120_000 and fetched.path.read_bytes() == LARGE


def test_a_killed_download_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    hub.break_after = [64_000]
    code = (
        "import sys, os; from pathlib import Path; from pickout.checkpoints import hub\n"
        "hub.time.sleep = lambda _: os.kill(os.getpid(), 9)\n"
        "hub.fetch('owner/name', 'model.safetensors', Path(sys.argv[1]), endpoint=sys.argv[2])"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path, hub.address], env=os.environ, capture_output=True)
    assert done.returncode == -9
    assert not (tmp_path / "model.safetensors").exists()
    assert get(hub, tmp_path).path.read_bytes() == LARGE
    assert hub.ranges() == [None, "bytes=64000-"]


def test_other_bytes_than_the_hub_states_are_thrown_away(hub: Hub, tmp_path: Path) -> None:
    hub.altered[f"{REPOSITORY}/model.safetensors"] = LARGE[:-1] + bytes([LARGE[-1] ^ 1])
    with pytest.raises(DownloadFailed, match=r"the hub states sha256:.* thrown away"):
        get(hub, tmp_path)
    assert list(tmp_path.iterdir()) == []
    hub.altered.clear()
    assert get(hub, tmp_path).path.read_bytes() == LARGE


def test_a_damaged_start_of_a_resumed_file_is_noticed(hub: Hub, tmp_path: Path) -> None:
    hub.break_after = [120_000] + [0] * 20
    with pytest.raises(DownloadFailed):
        get(hub, tmp_path)
    partial = next(tmp_path.glob(".*.part"))
    partial.write_bytes(bytes(120_000))
    hub.break_after = []
    with pytest.raises(DownloadFailed, match="thrown away"):
        get(hub, tmp_path)
    assert get(hub, tmp_path).path.read_bytes() == LARGE


@pytest.mark.parametrize(("repository", "file"), [("owner/none", "config.json"), (REPOSITORY, "none.json")])
def test_what_is_not_there_is_told(hub: Hub, tmp_path: Path, repository: str, file: str) -> None:
    with pytest.raises(NotOnHub, match=f"{repository}/resolve/main/{file}: not there"):
        fetch(repository, file, tmp_path, endpoint=hub.address)


def test_a_server_that_fails_is_told(hub: Hub, tmp_path: Path) -> None:
    hub.status = 500
    with pytest.raises(DownloadFailed, match="the hub answered 500"):
        get(hub, tmp_path)


def test_a_server_that_states_no_checksum_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.tags = False
    with pytest.raises(DownloadFailed, match="states no checksum"):
        get(hub, tmp_path)


def test_being_offline_is_told_with_the_remedy(hub: Hub, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DownloadFailed, match=r"cannot be reached .* --endpoint or HF_ENDPOINT"):
        fetch(REPOSITORY, "config.json", tmp_path, endpoint=f"http://127.0.0.1:{port}")


def test_a_network_lost_in_the_middle_keeps_what_came(hub: Hub, tmp_path: Path) -> None:
    url = f"{hub.address}/{REPOSITORY}/resolve/main/model.safetensors"
    partial = tmp_path / "partial"
    partial.write_bytes(LARGE[:50_000])
    lost = replace(ask(url), location="http://127.0.0.1:9/nothing")
    with pytest.raises(DownloadFailed, match=r"the connection is lost .* 50,000 bytes are kept"):
        transfer.transfer(url, lost, partial, lambda _: None)


@pytest.mark.parametrize(("limit", "value"), [("LONGEST", 1000), ("PATIENCE", -1.0)])
def test_a_list_of_files_without_end_is_told(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    hub.api = b"[" * 2000
    monkeypatch.setattr(transfer, limit, value)
    with pytest.raises(DownloadFailed, match="the answer comes to no end"):
        transfer.repository_files(REPOSITORY, endpoint=hub.address)


def asked(hub: Hub) -> int:
    return len(hub.ranges())


def test_a_size_above_the_true_one_comes_to_an_end(hub: Hub, tmp_path: Path) -> None:
    hub.size = str(len(LARGE) + 1)
    with pytest.raises(DownloadFailed, match=r"300,000 bytes came, the hub states 300,001"):
        get(hub, tmp_path)
    assert asked(hub) <= transfer.ATTEMPTS + 1


@pytest.mark.parametrize("ranged", [True, False])
def test_empty_bodies_come_to_an_end_with_growing_pauses(
    hub: Hub, tmp_path: Path, ranged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(transfer, "PAUSE", 1.0)
    monkeypatch.setattr(transfer.time, "sleep", pauses.append)
    hub.altered[f"{REPOSITORY}/model.safetensors"], hub.ranged = b"", ranged
    with pytest.raises(DownloadFailed, match="0 bytes came, the hub states 300,000"):
        get(hub, tmp_path)
    assert asked(hub) == transfer.ATTEMPTS
    assert pauses == [2.0, 4.0, 8.0, 16.0]


def test_a_server_without_ranges_that_always_breaks_off_comes_to_an_end(hub: Hub, tmp_path: Path) -> None:
    hub.ranged, hub.break_after = False, [200_000] * 100
    with pytest.raises(DownloadFailed, match="200,000 bytes are kept"):
        get(hub, tmp_path)
    assert asked(hub) == transfer.ATTEMPTS + 1


def test_a_server_that_gives_a_few_bytes_at_a_time_comes_to_an_end(hub: Hub, tmp_path: Path) -> None:
    hub.break_after = [1] * 1000
    with pytest.raises(DownloadFailed, match="5 bytes are kept"):
        get(hub, tmp_path)
    assert asked(hub) == transfer.ATTEMPTS


def test_a_transfer_that_hardly_moves_is_taken_up_again(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = count(0.0, 2 * transfer.PATIENCE)
    monkeypatch.setattr(transfer, "PROGRESS", 1 << 40)
    monkeypatch.setattr(transfer, "ATTEMPTS", 2)
    monkeypatch.setattr(transfer, "time", SimpleNamespace(monotonic=lambda: next(seconds), sleep=lambda _: None))
    with pytest.raises(DownloadFailed, match="bytes came, the hub states 300,000"):
        get(hub, tmp_path)
    assert asked(hub) == transfer.ATTEMPTS


def test_never_more_is_written_than_was_stated(hub: Hub, tmp_path: Path) -> None:
    name = f"{REPOSITORY}/model.safetensors"
    hub.altered[name] = LARGE + bytes(20_000_000)
    sizes: list[int] = []
    url, partial = f"{hub.address}/{REPOSITORY}/resolve/main/model.safetensors", tmp_path / "partial"
    transfer.transfer(url, ask(url), partial, lambda _: sizes.append(partial.stat().st_size if partial.exists() else 0))
    assert max(sizes) == len(LARGE) and partial.read_bytes() == LARGE
    assert asked(hub) == 1
    # Where the beginning is another one too, the checksum tells.
    hub.altered[name] = bytes(1) + LARGE
    with pytest.raises(DownloadFailed, match="thrown away"):
        get(hub, tmp_path)


@pytest.mark.parametrize("size", ["²", "9" * 5000, "0", "-1", "", "1e6", "١٢", "12 34", "+5"])
@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_size_that_is_none_is_told(hub: Hub, tmp_path: Path, size: str, file: str) -> None:
    hub.size = size
    with pytest.raises(DownloadFailed, match=r"the server states (no|a) size|cannot be reached|broke off"):
        get(hub, tmp_path, file)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "location",
    [
        "http://[",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "//",
        "http://",
        "http://a b/",
        "http://" + "a" * 300 + "/",
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_a_redirect_to_nowhere_is_told(hub: Hub, tmp_path: Path, location: str, known: bool) -> None:
    """Beside the checksum, or before it is known."""
    hub.location, hub.tags = location, known
    with pytest.raises(DownloadFailed, match=r"model\.safetensors"):
        get(hub, tmp_path)
    assert not list(tmp_path.glob("model*"))


@pytest.mark.parametrize("known", [True, False])
def test_redirects_in_a_circle_are_told(hub: Hub, tmp_path: Path, known: bool) -> None:
    hub.location, hub.tags = f"{hub.address}/circle", known
    with pytest.raises(DownloadFailed):
        get(hub, tmp_path)
    assert len(hub.log) < 200


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_content_host_is_asked_a_few_times(hub: Hub, tmp_path: Path, status: int) -> None:
    hub.content_status = [status] * 3
    assert get(hub, tmp_path).path.read_bytes() == LARGE
    hub.content_status = [status] * 100
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(DownloadFailed, match=f"the hub answered {status}"):
        get(hub, tmp_path)


def test_a_server_without_ranges_starts_over(hub: Hub, tmp_path: Path) -> None:
    hub.ranged = False
    hub.break_after = [100_000]
    moves: list[int] = []
    url = f"{hub.address}/{REPOSITORY}/resolve/main/model.safetensors"
    transfer.transfer(url, ask(url), tmp_path / "partial", moves.append)
    assert (tmp_path / "partial").read_bytes() == LARGE
    assert sum(moves) == len(LARGE) and min(moves) == -100_000


@pytest.mark.parametrize("endpoint", ["ftp://127.0.0.1", "nonsense"])
def test_an_endpoint_that_is_no_web_address_is_told(tmp_path: Path, endpoint: str) -> None:
    with pytest.raises(DownloadFailed, match="cannot be reached"):
        fetch(REPOSITORY, "config.json", tmp_path, endpoint=endpoint)


def test_the_endpoint_of_the_environment_is_used(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.address + "/")
    assert fetch(REPOSITORY, "config.json", tmp_path).path.read_bytes() == SMALL


def test_a_full_disk_is_told_and_keeps_what_was_fetched(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(transfer, "_stream", full)
    with pytest.raises(StorageFull, match=r"model\.safetensors: no space left"):
        get(hub, tmp_path)


def test_the_home_of_weights_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert weights_home() == Path(os.environ["PICKOUT_WEIGHTS"])
    monkeypatch.delenv("PICKOUT_WEIGHTS")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert weights_home() == Path("/somewhere/pickout/weights")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert weights_home() == Path.home() / ".cache/pickout/weights"
