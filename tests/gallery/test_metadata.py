"""Tables of metadata as other programs write them."""

import json

from pickout.gallery.intake.metadata import MetadataTable


def test_a_column_without_a_name_is_passed_over(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text(',image,camera\n0,a.png,lobby\n1,b.png,"the ""yard"", north"\n')  # as pandas numbers its lines
    told = MetadataTable(table)
    assert told.of(tmp_path, tmp_path / "a.png").labels == {}
    assert told.of(tmp_path, tmp_path / "b.png").camera == 'the "yard", north'


def test_a_line_of_json_ends_only_where_the_line_ends(tmp_path):
    table = tmp_path / "table.jsonl"
    lines = [{"image": "a.png", "note": "first\u2028second\x85third"}, {"image": "b.png", "note": "plain"}]
    table.write_text("".join(json.dumps(line, ensure_ascii=False) + "\r\n" for line in lines), encoding="utf-8")
    told = MetadataTable(table)
    assert told.of(tmp_path, tmp_path / "a.png").labels == {"note": "first\u2028second\x85third"}
    assert told.of(tmp_path, tmp_path / "b.png").labels == {"note": "plain"}
