"""Images to tensors, held against slow twins."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pickout.config import parse_settings
from pickout.data.transforms import AugmentationSettings, ImageSettings, augment, prepare
from pickout.errors import RecipeError

SMALL = ImageSettings(height=24, width=12)
NONE = AugmentationSettings(flip=0, pad=0, erase=0)


def random_image(seed: int, height: int = 50, width: int = 30) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def prepare_by_loops(image: Image.Image, settings: ImageSettings) -> torch.Tensor:
    small = image.resize((settings.width, settings.height), Image.Resampling.BILINEAR)
    values = torch.empty(3, settings.height, settings.width)
    for y in range(settings.height):
        for x in range(settings.width):
            for channel, value in enumerate(small.getpixel((x, y))):
                values[channel, y, x] = (value / 255 - settings.mean[channel]) / settings.std[channel]
    return values


def augment_by_loops(
    image: Image.Image, settings: ImageSettings, augmentation: AugmentationSettings, generator: np.random.Generator
) -> torch.Tensor:
    """The steps one after the other, pixel by pixel, with the same draws in the same order."""
    height, width, pad = settings.height, settings.width, augmentation.pad
    black = [(0 - mean) / std for mean, std in zip(settings.mean, settings.std, strict=True)]
    plain = prepare_by_loops(image, settings)
    flipped = generator.random() < augmentation.flip
    top, left = generator.integers(0, 2 * pad + 1, size=2) if pad else (0, 0)
    result = torch.empty_like(plain)
    for y in range(height):
        for x in range(width):
            row, column = y + top - pad, x + left - pad
            inside = 0 <= row < height and 0 <= column < width
            for channel in range(3):
                source = width - 1 - column if flipped else column
                result[channel, y, x] = plain[channel, row, source] if inside else black[channel]
    if generator.random() < augmentation.erase:
        for _ in range(10):
            area = generator.uniform(*augmentation.erase_area) * height * width
            low, high = augmentation.erase_ratio
            ratio = math.exp(generator.uniform(math.log(low), math.log(high)))
            tall, wide = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
            if tall >= height or wide >= width:
                continue
            first, second = generator.integers(0, height - tall + 1), generator.integers(0, width - wide + 1)
            for channel in range(3):
                for y in range(first, first + tall):
                    for x in range(second, second + wide):
                        result[channel, y, x] = settings.mean[channel]
            break
    return result


@pytest.mark.parametrize("size", [(24, 12), (50, 30), (7, 90)])
def test_preparing_equals_the_slow_twin(size: tuple[int, int]) -> None:
    image = random_image(1, *size)
    tensor = prepare(image, SMALL)
    assert tensor.dtype == torch.float32 and tensor.shape == (3, 24, 12) and tensor.is_contiguous()
    torch.testing.assert_close(tensor, prepare_by_loops(image, SMALL), rtol=0, atol=1e-6)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), pad=st.integers(0, 30))
def test_augmenting_equals_the_slow_twin(seed: int, pad: int) -> None:
    augmentation = AugmentationSettings(pad=pad)
    image = random_image(seed % 7)
    fast = augment(image, SMALL, augmentation, np.random.default_rng(seed))
    slow = augment_by_loops(image, SMALL, augmentation, np.random.default_rng(seed))
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-6)


def test_everything_off_is_the_plain_image() -> None:
    image = random_image(3)
    assert torch.equal(augment(image, SMALL, NONE, np.random.default_rng(0)), prepare(image, SMALL))


def test_equal_generators_give_equal_images_and_different_ones_differ() -> None:
    image = random_image(3)
    one, two, other = (augment(image, SMALL, AugmentationSettings(), np.random.default_rng(s)) for s in (5, 5, 6))
    assert torch.equal(one, two) and not torch.equal(one, other)


def test_the_rates_are_those_of_the_settings() -> None:
    image = Image.fromarray(np.repeat(np.arange(12, dtype=np.uint8)[None, :, None] * 20, 24, 0).repeat(3, 2))
    plain = prepare(image, SMALL)
    generator = np.random.default_rng(0)
    flips = erasures = 0
    for _ in range(2000):
        flips += torch.equal(augment(image, SMALL, AugmentationSettings(pad=0, erase=0), generator), plain.flip(2))
        erasures += not torch.equal(augment(image, SMALL, AugmentationSettings(pad=0, flip=0), generator), plain)
    assert 900 < flips < 1100
    assert 900 < erasures < 1100


def test_an_erased_rectangle_holds_the_means_and_keeps_to_its_area() -> None:
    settings = ImageSettings(height=96, width=32)
    augmentation = AugmentationSettings(flip=0, pad=0, erase=1)
    generator = np.random.default_rng(1)
    image = Image.new("RGB", (32, 96), "white")
    for _ in range(100):
        erased = augment(image, settings, augmentation, generator)
        inside = (erased - torch.tensor(settings.mean)[:, None, None]).abs().amax(0) < 1e-6
        assert 0.015 < inside.float().mean() < 0.42
        rows, columns = inside.any(1).sum(), inside.any(0).sum()
        assert inside.sum() == rows * columns


def test_the_image_is_left_as_it_was() -> None:
    image = random_image(5, 24, 12)
    before = image.tobytes()
    augment(image, SMALL, AugmentationSettings(erase=1), np.random.default_rng(0))
    assert image.tobytes() == before


def test_defaults_are_those_of_the_paper() -> None:
    image, augmentation = ImageSettings(), AugmentationSettings()
    assert (image.height, image.width) == (384, 128)
    assert image.mean == (0.48145466, 0.4578275, 0.40821073) and image.std == (0.26862954, 0.26130258, 0.27577711)
    assert (augmentation.flip, augmentation.pad, augmentation.erase) == (0.5, 10, 0.5)
    assert (augmentation.erase_area, augmentation.erase_ratio) == ((0.02, 0.4), (0.3, 3.3))


@pytest.mark.parametrize("values", [{"std": [0.2, 0.0, 0.2]}, {"height": 2}, {"mean": [0.1, 0.2]}])
def test_impossible_image_settings_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match=next(iter(values))):
        parse_settings(ImageSettings, values, source="recipe.toml")


@pytest.mark.parametrize("values", [{"flip": 1.5}, {"erase_area": [0.4, 0.02]}, {"erase_ratio": [0, 1]}])
def test_impossible_augmentation_settings_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match=next(iter(values))):
        parse_settings(AugmentationSettings, values, source="recipe.toml")


def test_bicubic_resizing_is_pillows() -> None:
    """RaSa and AGA; on a slope both filters agree, on noise they do not."""
    noise = Image.fromarray(np.random.default_rng(3).integers(0, 256, (40, 20, 3), dtype=np.uint8))
    cubic = SMALL.model_copy(update={"resample": "bicubic"})
    expected = np.asarray(noise.resize((SMALL.width, SMALL.height), Image.Resampling.BICUBIC), np.float32) / 255
    expected = (expected - np.array(SMALL.mean, np.float32)) / np.array(SMALL.std, np.float32)
    torch.testing.assert_close(prepare(noise, cubic), torch.from_numpy(expected.transpose(2, 0, 1)), rtol=0, atol=1e-5)
    assert not torch.equal(prepare(noise, cubic), prepare(noise, SMALL))
