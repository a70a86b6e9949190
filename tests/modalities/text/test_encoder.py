from __future__ import annotations

import pytest
import torch
from transformers import BertModel

from matbind.modalities.text.encoder import Encoder
from matbind.modalities.text.features import ANGLE, LENGTH
from matbind.modalities.text.transform import EmbeddingBatch, TokenBatch
from tests.checkpoints import save_tiny_bert
from tests.factories import make_settings

SETTINGS = make_settings().modalities["text"].encoder
META = {"tokenizer": "corpus", "vocabulary": [f"w{i}" for i in range(20)], "max_tokens": 24}
LENGTH_AT, ANGLE_AT = 2, 5


def encoder(meta=META, **changes) -> Encoder:
    torch.manual_seed(0)
    return Encoder(SETTINGS.model_copy(update=changes), meta).eval()


def batch(lengths=(7, 4, 7)) -> TokenBatch:
    mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    token = torch.randint(4, 20, mask.shape, generator=torch.Generator().manual_seed(1)) * mask
    token[:, LENGTH_AT] = LENGTH * mask[:, LENGTH_AT]
    composition = torch.zeros(len(lengths), 118)
    composition[:, 7] = 1.0
    return TokenBatch(token, torch.zeros(mask.shape), mask, composition)


def test_a_batch_equals_its_texts_one_by_one():
    net, both = encoder(), batch()
    together = net(both)
    for row, n in enumerate((7, 4, 7)):
        one = (slice(row, row + 1), slice(n))
        alone = net(TokenBatch(both.token[one], both.value[one], both.mask[one], both.composition[row : row + 1]))
        torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=1e-4)


def test_texts_of_very_different_lengths_are_read_as_if_alone():
    net, lengths = encoder(), (20, 3, 4, 3, 5, 3, 3, 4, 3)
    together = net(batch(lengths))
    for row, n in enumerate(lengths):
        every = batch(lengths)
        one = (slice(row, row + 1), slice(n))
        alone = net(TokenBatch(every.token[one], every.value[one], every.mask[one], every.composition[row : row + 1]))
        torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=1e-4)


def test_what_is_masked_does_not_count():
    net, first, second = encoder(), batch(), batch()
    second.token[1, 4:] = 9
    torch.testing.assert_close(net(first), net(second))


def test_a_length_beside_a_token_counts():
    net, first, second = encoder(), batch(), batch()
    first.value[:, LENGTH_AT], second.value[:, LENGTH_AT] = 2.30, 2.60
    assert (net(first) - net(second)).abs().max() > 1e-3


def test_an_angle_beside_a_token_counts():
    net, first, second = encoder(), batch(), batch()
    for given, degrees in ((first, 38.0), (second, 60.0)):
        given.token[:, ANGLE_AT], given.value[:, ANGLE_AT] = ANGLE, degrees
    assert (net(first) - net(second)).abs().max() > 1e-3


def test_without_gaussians_values_do_not_count():
    net, first, second = encoder(gaussians=0), batch(), batch()
    second.value[:, LENGTH_AT] = 2.6
    torch.testing.assert_close(net(first), net(second))


def test_the_order_of_the_words_counts():
    net, first, second = encoder(), batch(), batch()
    second.token[0] = second.token[0].flip(0)
    assert (net(first)[0] - net(second)[0]).abs().max() > 1e-4


def test_a_checkpoint_is_read_with_its_weights_and_sizes(tmp_path):
    oracle = BertModel.from_pretrained(save_tiny_bert(tmp_path), local_files_only=True).eval()
    net = encoder({"tokenizer": "checkpoint", "checkpoint": str(tmp_path)})
    assert net.out_dim == 16
    given = batch()
    given.token.clamp_(max=10)
    hidden = oracle(input_ids=given.token, attention_mask=given.mask.long()).last_hidden_state
    expected = torch.stack([hidden[row, given.mask[row]].mean(dim=0) for row in range(3)])
    torch.testing.assert_close(net(given), expected, atol=1e-5, rtol=1e-4)


def test_a_frozen_embedding_passes_through():
    net = encoder({"tokenizer": "frozen", "width": 48})
    given = torch.randn(2, 48)
    assert net.out_dim == 48
    torch.testing.assert_close(net(EmbeddingBatch(given)), given)
    assert list(net.parameters()) == []


def test_the_atomic_fractions_of_the_opening_formula_count():
    net, first, second = encoder(), batch(), batch()
    second.composition[:, 7], second.composition[:, 11] = 0.5, 0.5
    assert (net(first) - net(second)).abs().max() > 1e-3


@pytest.mark.parametrize("tokens", [0, 1])
def test_hardly_any_word_gives_finite_numbers(tokens):
    given = batch((tokens, 3))
    assert torch.isfinite(encoder()(given)).all()
