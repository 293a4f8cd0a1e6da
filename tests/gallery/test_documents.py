"""docs/gallery.md says what the code does."""

import re
from dataclasses import fields

from pickout.cli.search import search
from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.picture import LARGEST_SIDE, THUMBNAIL_SIDE
from pickout.gallery.intake.report import IngestReport, IngestSettings
from pickout.gallery.search.search import Hit


def test_columns_files_settings_and_json_keys_are_all_told(repository, gallery):
    text = (repository / "docs" / "gallery.md").read_text()
    words = set(re.findall(r"[A-Za-z_.-]+", text))
    gallery.search("teal")
    made = {entry.name.rstrip("/") for entry in gallery.path.iterdir()}
    (hit,) = gallery.search("teal", top=1)
    told = [
        *gallery._store._schema.names,
        *made,
        *IngestSettings.model_fields,
        *(field.name for field in fields(IngestReport)),
        *hit.as_json(),
    ]
    assert sorted({name for name in told if name.rstrip(".") not in words}) == []
    assert f"{IngestSettings().commit} rows, or {IngestSettings().commit_seconds:.0f} seconds" in text
    assert f"more than {LARGEST_SIDE} pixels" in text
    assert f"at most {THUMBNAIL_SIDE} pixels" in text
    assert search.__doc__ and "candidates, not identifications" in search.__doc__


def test_the_names_in_the_python_example_exist(repository):
    import pickout

    text = (repository / "docs" / "gallery.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for name in re.findall(r"pickout\.(\w+)", example):
        assert name in pickout.__all__
    for name in re.findall(r"(?:gallery|Gallery)\.(\w+)\(", example):
        assert callable(getattr(Gallery, name))
    for name in re.findall(r"hit\.(\w+)", example):
        assert name in {field.name for field in fields(Hit)} | {"camera", "time"}
