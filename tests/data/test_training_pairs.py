import numpy as np
import pytest
import torch
from PIL import Image

from pickout.data.batching import Draw, collate
from pickout.data.data_set import ImageRecord, Split
from pickout.data.images import open_image
from pickout.data.training_pairs import Pairing, TrainingPairs, readable, require_files, with_captions
from pickout.data.transforms import (
    AugmentationSettings,
    CaptionAugmentationSettings,
    ImageSettings,
    augment_tokens,
    prepare,
)
from pickout.errors import DataError, DataMissing, ImageUnreadable
from pickout.text.build import train_tokenizer

_SIZE = ImageSettings(height=24, width=12)
_PLAIN = (AugmentationSettings(flip=0, pad=0, erase=0), CaptionAugmentationSettings(mask=0, random=0, delete=0))
_VARIED = (AugmentationSettings(pad=2), CaptionAugmentationSettings(mask=0.3, random=0.2, delete=0.2))


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    folder, generator = tmp_path_factory.mktemp("crops"), np.random.default_rng(1)
    records = []
    for number in range(6):
        path = folder / f"{number}.png"
        Image.fromarray(generator.integers(0, 256, (40, 20, 3), dtype=np.uint8)).save(path)
        captions = tuple(f"person {number} in coat {i} with a bag" for i in range(number % 3))
        records.append(ImageRecord(path, number // 2, captions))
    return with_captions(Split("table", "train", tuple(records)))


@pytest.fixture(scope="module")
def tokenizer(split):
    captions = [caption for record in split.images for caption in record.captions]
    return train_tokenizer(captions, vocabulary_size=300, context=20)


@pytest.fixture
def pairs(split, tokenizer):
    return lambda augmentation=_VARIED, seed=1: TrainingPairs(split, tokenizer, _SIZE, augmentation, seed)


def _same(one, two):
    return torch.equal(one.image, two.image) and np.array_equal(one.ids, two.ids) and one.identity == two.identity


def test_without_augmentation_an_item_is_its_image_prepared_and_its_caption_encoded(pairs, split, tokenizer):
    plain = pairs(_PLAIN)
    expected = list(split.pairs())
    assert len(plain) == len(expected) == 6
    for item, pair in enumerate(expected):
        example = plain[Draw(3, 17, item)]
        image = open_image(split.images[pair.image].image)
        torch.testing.assert_close(example.image, prepare(image, _SIZE))
        assert np.array_equal(example.ids, tokenizer.encode([pair.caption])[0])
        assert example.identity == plain.identities[item] == pair.identity


def test_an_item_is_a_function_of_seed_epoch_place_and_item_alone(pairs):
    one, two = pairs(), pairs()
    first = one[Draw(2, 5, 3)]
    for other in (Draw(1, 0, 0), Draw(2, 6, 3)):
        two[other]
    np.random.rand(3)
    torch.rand(3)
    assert _same(two[Draw(2, 5, 3)], first)
    assert not _same(one[Draw(3, 5, 3)], first)
    assert not _same(one[Draw(2, 6, 3)], first)
    assert not _same(pairs(seed=2)[Draw(2, 5, 3)], first)


def test_captions_are_changed_by_the_same_rule_as_in_the_papers_example(pairs, tokenizer):
    """ITSELF spec, E13, wired in: what an item carries is `augment_tokens` of its row, and special tokens stay."""
    varied, special = pairs(), tokenizer.special
    changed = 0
    for place in range(40):
        ids = varied[Draw(1, place, place % 6)].ids
        row = varied.ids[place % 6].astype(np.int64)
        assert ids[0] == special.start
        assert (ids == special.end).sum() == 1
        end = int((ids == special.end).argmax())
        assert (ids[end + 1 :] == special.padding).all()
        changed += not np.array_equal(ids, row)
    assert changed > 30
    generator = np.random.default_rng(0)
    settings = CaptionAugmentationSettings(mask=0, random=0, delete=1)
    empty = augment_tokens(row, tokenizer, settings, generator)
    assert list(empty[:3]) == [special.start, special.end, special.padding]


def test_a_cache_changes_nothing(pairs):
    read, cached = pairs(), pairs()
    advanced = []
    cached.fill_cache(threads=2, advance=lambda: advanced.append(1))
    assert len(advanced) == 4
    for item in range(6):
        assert _same(cached[Draw(1, item, item)], read[Draw(1, item, item)])


def test_the_fingerprint_tells_other_items_apart_and_not_other_places(pairs, split, tokenizer):
    first, second = split.images[:2]
    swapped = Split("table", "train", (second, first, *split.images[2:]))
    assert pairs().fingerprint() == pairs(seed=5).fingerprint()
    assert TrainingPairs(swapped, tokenizer, _SIZE, _PLAIN, 1).fingerprint() != pairs().fingerprint()


def test_a_batch_has_the_examples_in_order_and_its_mask_ends_with_the_end_token(pairs, tokenizer):
    plain = pairs(_PLAIN)
    examples = [plain[Draw(1, place, item)] for place, item in enumerate((4, 0, 2))]
    batch = collate(examples, tokenizer.mask)
    assert batch.images.shape == (3, 3, 24, 12)
    assert batch.identity.tolist() == [examples[0].identity, examples[1].identity, examples[2].identity]
    for row, mask, example in zip(batch.texts.ids, batch.texts.mask, examples, strict=True):
        assert np.array_equal(row.numpy(), example.ids)
        assert row[mask][-1] == tokenizer.special.end
        assert (row[~mask] == tokenizer.special.padding).all()
    assert len(batch.to("cpu")) == 3


def test_an_unreadable_image_takes_the_batchs_place(pairs, split, tokenizer):
    broken = pairs()
    broken.files[0] = __file__
    example = broken[Draw(1, 0, 0)]
    assert isinstance(example, ImageUnreadable)
    assert collate([broken[Draw(1, 1, 5)], example], tokenizer.mask) == example
    with pytest.raises(ImageUnreadable, match="skip_unreadable=true"):
        broken.fill_cache()


def test_images_without_captions_are_no_training_items(split):
    assert all(record.captions for record in split.images)
    assert len(split.images) == 4
    silent = Split("table", "train", (ImageRecord(split.images[0].image, 0, ()),))
    with pytest.raises(DataError, match="no image has a caption"):
        with_captions(silent)


def test_missing_files_are_counted_and_the_first_is_named(split, tmp_path):
    require_files(split, "put them back")
    gone = tuple(ImageRecord(tmp_path / f"gone{i}.png", 0, ("x",)) for i in range(2))
    with pytest.raises(DataMissing, match=r"gone0\.png: no such image; 2 of 6 images of split .* put them back"):
        require_files(Split("table", "train", split.images + gone), "put them back")


def test_images_that_cannot_be_read_are_left_out_with_their_reasons(split, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"not an image")
    bad = ImageRecord(tmp_path / "bad.png", 0, ("x",))
    gone = ImageRecord(tmp_path / "gone.png", 0, ("x",))
    kept, wrong = readable(Split("table", "train", (bad, *split.images, gone)), threads=2)
    assert kept.images == split.images
    assert [error.path for error in wrong] == [str(bad.image), str(gone.image)]
    with pytest.raises(DataError, match="none of 2 images can be read"):
        readable(Split("table", "train", (bad, gone)))


def _draws(pairs, count):
    return [pairs[Draw(1, place, place % len(pairs))] for place in range(count)]


def test_a_second_view_is_another_augmentation_of_the_same_image(split, tokenizer):
    pairs = TrainingPairs(split, tokenizer, _SIZE, _VARIED, 1, Pairing(second_view=True))
    plain = TrainingPairs(split, tokenizer, _SIZE, _VARIED, 1)
    for place, example in enumerate(_draws(pairs, 12)):
        assert _same(example, plain[Draw(1, place, place % len(pairs))])
        assert example.second_image.shape == example.image.shape
        assert not torch.equal(example.second_image, example.image)
        assert torch.equal(example.second_image, pairs[Draw(1, place, place % len(pairs))].second_image)
    still = TrainingPairs(split, tokenizer, _SIZE, _PLAIN, 1, Pairing(second_view=True))[Draw(1, 0, 0)]
    assert torch.equal(still.second_image, still.image)


def test_a_weak_caption_is_the_persons_and_says_when_it_is_another_sentence(split, tokenizer):
    """Whoever has n sentences gets another one in a share of 1 - 1 / n of the draws."""
    pairs = TrainingPairs(split, tokenizer, _SIZE, _PLAIN, 1, Pairing(weak_captions=1.0))
    captions = [pair.caption for pair in split.pairs()]
    replaced = {identity: [] for identity in pairs.identities}
    for place, example in enumerate(_draws(pairs, 1800)):
        item = place % len(pairs)
        same_person = [i for i, identity in enumerate(pairs.identities) if identity == example.identity]
        rows = [tokenizer.encode([captions[i]])[0] for i in same_person]
        assert any(np.array_equal(example.weak_ids, row) for row in rows)
        assert example.replaced == (not np.array_equal(example.weak_ids, tokenizer.encode([captions[item]])[0]))
        replaced[example.identity].append(example.replaced)
    for identity, flags in replaced.items():
        sentences = pairs.identities.count(identity)
        assert np.mean(flags) == pytest.approx(1 - 1 / sentences, abs=0.06)


def test_weak_captions_are_drawn_as_often_as_asked(split, tokenizer):
    pairs = TrainingPairs(split, tokenizer, _SIZE, _PLAIN, 1, Pairing(weak_captions=0.3))
    counted = [example.replaced for place, example in enumerate(_draws(pairs, 3000))]
    expected = 0.3 * np.mean([1 - 1 / pairs.identities.count(identity) for identity in pairs.identities])
    assert np.mean(counted) == pytest.approx(expected, abs=0.03)


def test_a_batch_carries_what_its_examples_carry(split, tokenizer):
    wanted = Pairing(second_view=True, weak_captions=0.5)
    pairs = TrainingPairs(split, tokenizer, _SIZE, _VARIED, 1, wanted)
    examples = _draws(pairs, 8)
    batch = collate(examples, tokenizer.mask)
    assert torch.equal(batch.second_images, torch.stack([example.second_image for example in examples]))
    assert np.array_equal(batch.weak_texts.ids.numpy(), np.stack([example.weak_ids for example in examples]))
    assert batch.replaced.tolist() == [int(example.replaced) for example in examples]
    moved = batch.to("cpu")
    assert torch.equal(moved.weak_texts.ids, batch.weak_texts.ids) and torch.equal(moved.replaced, batch.replaced)
    plain = collate(_draws(TrainingPairs(split, tokenizer, _SIZE, _VARIED, 1), 8), tokenizer.mask)
    assert plain.second_images is None and plain.weak_texts is None and plain.replaced is None
    assert plain.to("cpu").replaced is None
