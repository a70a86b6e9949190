from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, BertModel

from matbind.base.errors import UserError
from matbind.modalities.text import checkpoint as checkpoints
from matbind.modalities.text.checkpoint import FrozenModel, check
from tests.checkpoints import LONGEST, WIDTH, save_tiny_bert

TEXTS = ("Pd is cubic .", "Ti O3", "O O O O O O")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def damaged(checkpoint, tmp_path):
    return shutil.copytree(checkpoint, tmp_path / "damaged")


def test_a_frozen_embedding_is_the_mean_over_the_tokens_of_the_last_layer(checkpoint):
    tokens = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)(TEXTS[0], return_tensors="pt")
    with torch.no_grad():
        mean = (
            BertModel.from_pretrained(checkpoint, local_files_only=True).eval()(**tokens).last_hidden_state[0].mean(0)
        )

    [embedding] = FrozenModel(checkpoint, max_tokens=LONGEST)([TEXTS[0]])

    np.testing.assert_allclose(embedding, (mean / mean.norm()).numpy(), atol=1e-6)


def test_a_frozen_embedding_has_unit_length_and_the_width_of_the_model(checkpoint):
    embeddings = FrozenModel(checkpoint, max_tokens=LONGEST)(list(TEXTS))
    assert embeddings.shape == (len(TEXTS), WIDTH)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-5)


def test_padding_does_not_change_a_frozen_embedding(checkpoint):
    frozen = FrozenModel(checkpoint, max_tokens=LONGEST)
    np.testing.assert_allclose(frozen(list(TEXTS))[1], frozen([TEXTS[1]])[0], atol=1e-6)


def test_a_frozen_model_cuts_long_texts(checkpoint):
    frozen = FrozenModel(checkpoint, max_tokens=LONGEST)
    np.testing.assert_array_equal(frozen(["Pd " * 2000]), frozen(["Pd " * LONGEST]))


def test_a_checkpoint_that_is_whole_is_accepted(checkpoint):
    check(checkpoint, max_tokens=LONGEST)


def test_a_checkpoint_for_shorter_texts_is_refused(checkpoint):
    with pytest.raises(UserError, match="max_tokens is 512, expected at most the 24 tokens"):
        check(checkpoint, max_tokens=512)


@pytest.mark.parametrize("given", [None, "none"])
def test_a_checkpoint_that_is_not_there_is_named(given, tmp_path):
    directory = given and tmp_path / given
    with pytest.raises(UserError, match=r"modalities\.text\.features\.checkpoint is '.*[nN]one'"):
        check(directory, max_tokens=LONGEST)


def test_a_directory_without_a_tokenizer_is_named(tmp_path):
    with pytest.raises(UserError, match=f"{tmp_path}: no transformers tokenizer can be read here"):
        check(tmp_path, max_tokens=LONGEST)


def test_a_checkpoint_without_weights_is_named(damaged):
    (damaged / "model.safetensors").unlink()
    with pytest.raises(UserError, match=f"{damaged}: no transformers model can be read here"):
        check(damaged, max_tokens=LONGEST)


def test_weights_that_were_cut_off_are_named(damaged):
    weights = (damaged / "model.safetensors").read_bytes()
    (damaged / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(UserError, match=f"{damaged}: no transformers model can be read here"):
        check(damaged, max_tokens=LONGEST)


@pytest.mark.parametrize("change", [{"num_hidden_layers": 3}, {"hidden_size": 32}])
def test_weights_of_another_model_are_refused(damaged, change):
    config = json.loads((damaged / "config.json").read_text())
    (damaged / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(UserError, match=str(damaged)):
        check(damaged, max_tokens=LONGEST)


def test_a_configuration_that_is_no_json_is_named(damaged):
    (damaged / "config.json").write_text("{")
    with pytest.raises(UserError, match=f"{damaged}: no transformers"):
        check(damaged, max_tokens=LONGEST)


def test_the_pooling_layer_is_left_out(checkpoint):
    assert checkpoints.load_model(checkpoint).pooler is None
