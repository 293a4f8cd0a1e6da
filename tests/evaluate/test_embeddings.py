from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pickout.data.data_set import DataSet, Split
from pickout.data.images import open_image
from pickout.errors import CheckpointError, DataError, DataMissing, ImageUnreadable
from pickout.evaluate.embeddings import Encoder, check_split
from pickout.evaluate.processes import Share


def encoder_of(model, **changes) -> Encoder:
    return Encoder(model.method, model.tokenizer, model.settings.image, **changes)


def test_embeddings_are_those_of_the_loaded_model(colour_model, colours: DataSet):
    """So an evaluation measures what a gallery holds."""
    model, split = colour_model(), colours.splits["val"]
    encoder = encoder_of(model, batch=7)
    with encoder.evaluating():
        images, captions = encoder.images(split), encoder.captions(split)
    opened = [open_image(record.image) for record in split.images]
    np.testing.assert_array_equal(images.embedding.numpy(), model.encode_images(opened))
    sentences = [pair.caption for pair in split.pairs()]
    np.testing.assert_array_equal(captions.embedding.numpy(), model.encode_texts(sentences))


def test_every_caption_is_a_query_of_its_image_and_identity(colour_model, colours: DataSet):
    split = colours.splits["test"]
    captions = encoder_of(colour_model()).captions(split)
    pairs = list(split.pairs())
    assert captions.identity.tolist() == [pair.identity for pair in pairs]
    assert captions.image.tolist() == [pair.image for pair in pairs]


@pytest.mark.parametrize("batch", [1, 4, 5, 100])
def test_shares_of_several_processes_together_are_the_whole_in_order(colour_model, colours: DataSet, batch: int):
    split = colours.splits["val"]
    encoder = encoder_of(colour_model(), batch=batch)

    class Collecting(Share):
        def run(self, work):
            return [work() or {"": torch.empty(0, 9)}]

    with encoder.evaluating():
        whole = encoder.images(split).embedding
        parts = [replace(encoder, share=Collecting(index, 3)).images(split).embedding for index in range(3)]
    assert torch.equal(torch.cat(parts), whole)


def test_only_the_parts_that_were_asked_for_are_kept(colour_model, colours: DataSet):
    split = colours.splits["val"]
    model = colour_model()
    assert dict(encoder_of(model).images(split).parts) == {}
    kept = encoder_of(model, parts=("local", "unknown")).images(split).parts
    assert {name: tuple(part.shape) for name, part in kept.items()} == {"local": (18, 6)}


def test_modes_are_put_back_one_by_one(colour_model):
    model = colour_model()
    model.method.train()
    frozen = nn.BatchNorm1d(3).eval()
    model.method.frozen = frozen
    encoder = encoder_of(model)
    with encoder.evaluating():
        assert not model.method.training
        assert not model.method.dropout.training
    assert model.method.training
    assert model.method.dropout.training
    assert not frozen.training


def test_progress_counts_up_to_every_image_and_caption(colour_model, colours: DataSet):
    told: list[tuple[str, int, int]] = []
    encoder = encoder_of(colour_model(), batch=8, tell=lambda *state: told.append(state))
    encoder.images(colours.splits["val"])
    encoder.captions(colours.splits["val"])
    assert [state[1:] for state in told if state[0] == "images"] == [(8, 18), (16, 18), (18, 18)]
    assert told[-1] == ("captions", 36, 36)


def test_embeddings_that_are_not_finite_are_an_error(colour_model, colours: DataSet):
    model = colour_model()
    with torch.no_grad():
        model.method.table.fill_(float("nan"))
    with pytest.raises(CheckpointError, match=r"not finite for 36 of 36 captions"):
        encoder_of(model).captions(colours.splits["val"])


def test_a_file_that_is_no_image_is_an_error(colour_model, colours: DataSet, tmp_path: Path):
    split = colours.splits["val"]
    (tmp_path / "broken.png").write_bytes(b"no image")
    images = (*split.images[:5], replace(split.images[5], image=tmp_path / "broken.png"))
    with pytest.raises(ImageUnreadable, match=r"broken\.png"):
        encoder_of(colour_model(), batch=2).images(Split("colours", "val", images))


def test_missing_images_are_counted_and_the_first_is_named(colours: DataSet, tmp_path: Path):
    split = colours.splits["val"]
    images = tuple(replace(record, image=tmp_path / f"{n}.png") for n, record in enumerate(split.images))
    with pytest.raises(DataMissing, match=r"0\.png: no such image; 18 of 18 images of split 'val'"):
        check_split(Split("colours", "val", images))


def test_a_split_without_captions_or_images_is_an_error(colours: DataSet):
    mute = tuple(replace(record, captions=()) for record in colours.splits["val"].images)
    with pytest.raises(DataError, match="no captions"):
        check_split(Split("colours", "val", mute))
    with pytest.raises(DataError, match="no images"):
        check_split(Split("colours", "val", ()))
