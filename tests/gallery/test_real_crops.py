"""The whole path on real crops."""

import shutil

from pickout.gallery.gallery import Gallery


def test_the_woman_in_teal_is_found_among_real_people(shared, tmp_path, encoder):
    crops = shared / "intel-people" / "crops"
    gallery = Gallery.create(tmp_path / "g", encoder)
    report = gallery.add(crops)
    assert (report.added, report.quarantined) == (65, 0)
    sentence = "A woman with a long black ponytail wears a teal jacket, black leggings and black trainers."
    hits = gallery.search(sentence, top=4)
    assert {hit.path[:4] for hit in hits} == {"0014"}
    assert {hit.path[:4] for hit in gallery.search("an orange vest over blue jeans", top=3)} == {"0016"}
    assert gallery.add(crops).unchanged == 65
    copied = tmp_path / "copied"
    shutil.copytree(crops, copied)
    assert gallery.add(copied).encoded == 0
