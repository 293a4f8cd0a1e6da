import builtins
import json
from contextlib import closing

import pytest

from pickout.errors import StorageFull
from pickout.train.run_folder import JOURNAL, Journal, read_journal


def _scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(folder / "tensorboard"))
    board.Reload()
    return {
        tag: [(event.step, round(event.value, 4)) for event in board.Scalars(tag)] for tag in board.Tags()["scalars"]
    }


def test_lines_are_objects_in_order(tmp_path):
    with closing(Journal(tmp_path)) as journal:
        journal.write("step", step=1, terms={"alignment": 2.5})
        journal.write("epoch", epoch=1, note="Größe")
    lines = (tmp_path / JOURNAL).read_text().splitlines()
    assert [json.loads(line) for line in lines] == list(read_journal(tmp_path / JOURNAL))
    assert json.loads(lines[1]) == {"event": "epoch", "epoch": 1, "note": "Größe"}


def test_a_resumed_journal_is_cut_where_the_checkpoint_was_and_no_step_comes_twice(tmp_path):
    with closing(Journal(tmp_path)) as journal:
        for step in (1, 2):
            journal.write("step", step=step, loss=0.5 * step, terms={"a": float(step)})
        length = journal.sync()
        journal.write("step", step=3, loss=9.0, terms={"a": 9.0})
    with (tmp_path / JOURNAL).open("ab") as torn:
        torn.write(b'{"event": "st')
    with closing(Journal(tmp_path, length=length)) as journal:
        for step in (3, 4):
            journal.write("step", step=step, loss=0.5 * step, terms={"a": float(step)})
    assert [line["step"] for line in read_journal(tmp_path / JOURNAL)] == [1, 2, 3, 4]
    expected = [(1, 0.5), (2, 1.0), (3, 1.5), (4, 2.0)]
    assert _scalars(tmp_path) == {"loss": expected, "terms/a": [(s, float(s)) for s in (1, 2, 3, 4)]}


def test_a_torn_last_line_is_passed_over_when_reading(tmp_path):
    (tmp_path / JOURNAL).write_bytes(b'{"event": "step", "step": 1}\n{"event": "st')
    assert list(read_journal(tmp_path / JOURNAL)) == [{"event": "step", "step": 1}]


def test_without_tensorboard_the_lines_are_written_all_the_same(tmp_path, monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("torch.utils.tensorboard"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with closing(Journal(tmp_path)) as journal:
        journal.write("step", step=1, loss=1.0)
    assert len(list(read_journal(tmp_path / JOURNAL))) == 1
    assert not (tmp_path / "tensorboard").exists()


def test_a_full_disk_is_said_so(tmp_path):
    (tmp_path / JOURNAL).symlink_to("/dev/full")
    journal = Journal.__new__(Journal)
    journal.path, journal._board = tmp_path / JOURNAL, None
    journal._file = journal.path.open("ab", buffering=0)
    with pytest.raises(StorageFull, match=JOURNAL):
        journal.write("step", step=1)
    journal.close()
