"""BERT and vision transformers alone, in the names of transformers and timm."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_albef import FEED_FORWARD, POSITIONS, TEXT, WORDS, bert_state, fresh, rasa_state, vit_state

import pickout
from pickout.checkpoints.formats.families import VIT, bert_tensors, is_bert
from pickout.errors import CheckpointMismatch, CheckpointUnknown
from pickout.shapes import TokenBatch

Write = Callable[..., Path]


def test_a_bert_and_a_vision_transformer_are_told_from_others() -> None:
    assert is_bert(bert_state()) and not VIT.told_by(bert_state())
    assert is_bert([key.removeprefix("bert.") for key in bert_state()])
    assert VIT.told_by(vit_state()) and not is_bert(vit_state())
    assert not is_bert([key.removeprefix("text_encoder.") for key in rasa_state()])
    assert not VIT.told_by(rasa_state())


def test_the_states_of_transformers_own_bert_come_out() -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=TEXT,
        num_hidden_layers=4,
        num_attention_heads=1,
        intermediate_size=FEED_FORWARD,
        max_position_embeddings=POSITIONS,
        pad_token_id=0,
        attn_implementation="eager",
    )
    theirs = transformers.BertForPreTraining(config).eval()
    state = {key: tensor.detach() for key, tensor in theirs.state_dict().items()}
    parts = bert_tensors("x", state, text_layers=2)
    assert not parts.left_over
    method = fresh().eval()
    own = {key: tensor for key, tensor in method.state_dict().items() if ".cross." in key} | parts.state
    _, unexpected = method.load_state_dict(own, strict=False)
    assert not unexpected
    ids = torch.tensor([[1, 7, 9, 30, 12], [1, 8, 33, 0, 0]])
    with torch.inference_mode():
        read = method.encode_texts(TokenBatch(ids, ids != 0)).tokens
        out = theirs(input_ids=ids, attention_mask=(ids != 0).long(), output_hidden_states=True)
        logits = method.word_head(out.hidden_states[-1][0], method.text.embeddings.words.weight)
    torch.testing.assert_close(read[ids != 0], out.hidden_states[2][ids != 0], atol=1e-5, rtol=0)
    torch.testing.assert_close(logits, out.prediction_logits[0], atol=1e-5, rtol=0)


def test_old_names_of_norms_are_the_new_ones() -> None:
    old, new = bert_state(), {}
    for key, tensor in old.items():
        new[key.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")] = tensor
    assert old.keys() != new.keys()
    first, second = (bert_tensors("x", state, text_layers=2) for state in (old, new))
    assert first.state.keys() == second.state.keys() and not first.left_over
    assert all(torch.equal(first.state[key], tensor) for key, tensor in second.state.items())
    assert bert_tensors("x", {"blocks.0.ls1.gamma": torch.ones(1)}, text_layers=2).left_over == ["blocks.0.ls1.gamma"]


def test_a_word_head_without_its_words_is_refused() -> None:
    state = bert_state()
    del state["bert.embeddings.word_embeddings.weight"]
    with pytest.raises(CheckpointMismatch, match=r"x: 'cls\.predictions\.decoder\.weight' is not the tensor"):
        bert_tensors("x", state, text_layers=2)


@pytest.mark.parametrize(("state", "what"), [(bert_state, "BERT"), (vit_state, "a vision transformer")])
def test_alone_it_is_no_model(write: Write, state: Callable[[], dict], what: str) -> None:
    with pytest.raises(CheckpointUnknown, match=rf"{what} alone, half of a fusion model.*train\.initial"):
        pickout.load(write(state()))
