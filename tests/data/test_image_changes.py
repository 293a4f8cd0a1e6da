from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pickout.data.image_changes import CHANGES, STRONG, Picture, change_picture, read_parts
from pickout.data.transforms import AugmentationSettings


def picture(others: bool = True) -> Picture:
    """A red person before a green wall, and a blue neighbour to borrow."""
    pixels = np.zeros((96, 32, 3), np.float32)
    pixels[..., 1] = 0.6
    parts = np.zeros((96, 32), np.uint8)
    parts[10:90, 10:24] = 4
    pixels[parts == 4] = (0.8, 0.1, 0.1)
    other = np.zeros((96, 32, 3), np.uint8)
    other[..., 2] = 200
    return Picture(pixels, parts, [(other, parts)] if others else ())


def changed(name: str, seed: int = 0, **more: object) -> np.ndarray:
    return change_picture(picture(**more), {name: 1.0}, np.random.default_rng(seed))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_does_something_repeatably_and_keeps_the_size(name: str) -> None:
    plain = change_picture(picture(), {}, np.random.default_rng(0))
    once = [changed(name, seed) for seed in range(8)]
    assert all(each.shape == (96, 32, 3) and each.dtype == np.uint8 for each in once)
    assert any((each != plain).any() for each in once)
    assert all((each == changed(name, seed)).all() for seed, each in enumerate(once))


def test_without_changes_the_picture_stays() -> None:
    plain = change_picture(picture(), {}, np.random.default_rng(0))
    assert (plain == (picture().pixels * 255 + 0.5).astype(np.uint8)).all()


def test_a_background_leaves_the_middle_of_the_person() -> None:
    for seed in range(10):
        out = changed("background", seed)
        assert np.abs(out[20:80, 13:19].astype(int) - (204, 26, 26)).max() <= 3, seed
        assert np.abs(out[:, :6].astype(int) - (0, 153, 0)).max() > 20, seed


def test_neighbours_stand_beside_and_mostly_behind() -> None:
    shown = [changed("neighbours", seed) for seed in range(20)]
    assert sum(((each[..., 2] > 150) & (each[..., 0] < 60)).any() for each in shown) >= 12
    behind = sum((each[30:70, 12:20, 0] > 150).all() for each in shown)
    assert behind >= 12


def test_changes_of_colour_do_what_they_are_called() -> None:
    def saturation(pixels: np.ndarray) -> float:
        return float((pixels.max(axis=2).astype(int) - pixels.min(axis=2)).mean())

    plain = change_picture(picture(), {}, np.random.default_rng(0))
    assert np.mean([saturation(changed("desaturation", seed)) for seed in range(30)]) < saturation(plain)
    assert np.mean([changed("darkness", seed).mean() for seed in range(60)]) < plain.mean()
    assert np.mean([changed("contrast", seed).std() for seed in range(60)]) < plain.std()


def test_a_mask_is_needed_only_where_it_is_read() -> None:
    for name in CHANGES:
        bare = Picture(picture().pixels)
        assert change_picture(bare, {name: 1.0}, np.random.default_rng(1)).shape == (96, 32, 3)


def test_leaving_one_out_does_not_shift_the_others() -> None:
    rates = {"cast": 1.0, "occlusion": 1.0}
    both = change_picture(picture(), rates, np.random.default_rng(5))
    alone = change_picture(picture(), {"occlusion": 1.0}, np.random.default_rng(5))
    shown = (alone != change_picture(picture(), {}, np.random.default_rng(5))).any(axis=2)
    assert shown.any() and (both[shown] == alone[shown]).all()


def test_settings_know_the_names() -> None:
    assert AugmentationSettings(changes=dict(STRONG)).changes["cast"] == STRONG["cast"]
    with pytest.raises(ValueError, match="occlusion"):
        AugmentationSettings(changes={"oclusion": 0.5})
    with pytest.raises(ValueError, match="no probability"):
        AugmentationSettings(changes={"cast": 1.5})


def test_masks_are_found_beside_the_images(tmp_path: Path) -> None:
    image, mask = tmp_path / "imgs" / "cam_a" / "p1.jpg", tmp_path / "parts" / "p1.png"
    assert read_parts(image) is None
    mask.parent.mkdir()
    Image.fromarray(picture().parts).save(mask)
    found = read_parts(image)
    assert found is not None and (found == picture().parts).all()
