from __future__ import annotations

import math

import pytest
import torch

from matbind.modalities.combinations import parse_combination
from matbind.training.model import Model, n_parameters, parameter_counts
from tests.factories import make_settings, make_trainer, needs_sample


def test_parameters_of_the_paper():
    counts = parameter_counts(make_settings(preset="paper"))
    table_1 = {"dos": 6.4e6, "text": 110e6, "pxrd": 5e6, "crystal": 1e6}
    assert {name: counts[name] for name in table_1} == pytest.approx(table_1, rel=0.05)


def test_frozen_parameters_do_not_count():
    linear = torch.nn.Linear(3, 4)
    linear.bias.requires_grad_(requires_grad=False)
    assert n_parameters(linear) == 12


@needs_sample
class TestOnRealMaterials:
    def model(self, combination: str, overrides=None) -> Model:
        return make_trainer(combination, overrides).model

    def test_every_modality_is_embedded_as_unit_vectors_of_one_width(self):
        trainer = make_trainer("crystal+dos+pxrd+text")
        model = trainer.model.eval()
        for name, transform in trainer.transforms.items():
            index = trainer.stores[name].present.nonzero()[0][:5]
            embedded = model.embed(name, transform(index))
            assert embedded.shape == (5, trainer.settings.model.projection_dim)
            torch.testing.assert_close(embedded.norm(dim=1), torch.ones(5))

    def test_only_the_modalities_of_the_combination_have_an_encoder(self):
        model = self.model("dos+text")
        assert list(model.encoders) == list(model.heads) == ["dos", "text"]

    def test_every_pair_has_a_temperature_of_its_own(self):
        assert list(self.model("crystal+dos+text").log_scale) == ["dos", "text"]
        assert list(self.model("dos").log_scale) == ["dos"]

    def test_the_temperature_starts_where_the_settings_say(self):
        model = self.model("crystal+dos", {"model.temperature": 0.2})
        assert model.logit_scale("dos").item() == pytest.approx(5.0)

    def test_a_fixed_temperature_does_not_learn(self):
        assert not self.model("crystal+dos", {"model.learn_temperature": False}).log_scale["dos"].requires_grad

    def test_the_temperature_has_a_floor(self):
        model = self.model("crystal+dos")
        torch.nn.init.constant_(model.log_scale["dos"], math.log(1e4))
        assert model.logit_scale("dos").item() == 100

    def test_parts_of_the_hub_have_temperatures_where_they_are_contrasted(self):
        assert self.model("crystal+dos").part_logit_scales("dos").tolist() == pytest.approx([1 / 0.07] * 2, rel=1e-3)
        for combination, weight in (("crystal+dos", 0.0), ("dos+text", 0.3), ("crystal", 0.3)):
            assert not self.model(combination, {"model.hub_part_weight": weight}).hub_blocks

    def test_the_same_seed_gives_the_same_first_weights(self):
        first, second = (self.model("crystal+text").state_dict() for _ in range(2))
        assert all(torch.equal(first[key], second[key]) for key in first)

    def test_another_seed_gives_other_first_weights(self):
        first, second = (self.model("text", {"seed": seed}).state_dict() for seed in (0, 1))
        assert not torch.equal(first["heads.text.linear.weight"], second["heads.text.linear.weight"])


def test_an_unknown_modality_has_no_model():
    with pytest.raises(ValueError, match="unknown modality 'spin'"):
        parse_combination("crystal+spin")
