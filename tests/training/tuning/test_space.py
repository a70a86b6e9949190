from __future__ import annotations

import pytest

from matbind.base.errors import UserError
from matbind.training.tuning.space import (
    apply_tuned,
    apply_values,
    check_space,
    combination_of,
    trial_values,
    value_of,
    write_tuned,
)
from tests.factories import make_settings
from tests.training.tuning.tuning import START, make_tune

TEMPERATURE = {"start": 0.07, "low": 0.02, "high": 0.2, "log": True}


def test_values_are_laid_over_settings_of_every_depth():
    settings = make_settings()
    names = {
        "model.projection_dim": 64,
        "training.betas": (0.8, 0.9),
        "modalities.dos.encoder.width": 64,
        "modalities.crystal.encoder.reciprocal.channels": 4,
        "deformation.shape": 0.0,
    }

    changed = apply_values(settings, names, source="here")

    assert {name: value_of(changed, name) for name in names} == names
    assert value_of(settings, "model.projection_dim") == 128
    assert changed.modalities["dos"].encoder.heads == settings.modalities["dos"].encoder.heads


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "model.temprature",
            0.1,
            "model.temprature is no setting: 'temprature' is unknown, expected one of projection_dim",
        ),
        ("model.temperature", -1.0, "model.temperature cannot be -1.0: input should be greater than 0"),
        ("model.projection_dim", 64.5, "model.projection_dim cannot be 64.5"),
        ("model.temperature.low", 1, "model.temperature.low is no setting: 'low' is unknown"),
        ("modalities.dos.encoder.heads", 3, "modalities.dos.encoder.heads cannot be 3: width is 32"),
        ("modalities.sound.encoder.width", 3, "'sound' is unknown, expected one of crystal, dos, pxrd, text"),
        ("modalities.crystal.encoder.reciprocal", 3, "is a section of settings, expected one of channels"),
        ("modalities.dos.features.n_bins", 100, "modalities.dos.features.n_bins cannot be tuned"),
        ("prepare.limit", 100, "prepare.limit cannot be tuned, expected a setting of model, training"),
        ("evaluation.chunk_size", 100, "cannot be tuned"),
        ("seed", 1, "seed cannot be tuned"),
        ("model", 1, "model cannot be tuned"),
    ],
)
def test_a_mistake_names_itself(name, value, message):
    with pytest.raises(UserError, match=f"^here: .*{message}"):
        apply_values(make_settings(), {name: value}, source="here")


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            {"model.temperature": {"start": 0.07, "low": 0.02, "high": 20.0}},
            "params.yaml: tune.space: model.temperature cannot be 20.0",
        ),
        ({"model.temperature": {"start": 0.07, "low": 0.0, "high": 0.2}}, "model.temperature cannot be 0.0"),
        ({"model.projection_dim": {"start": 64, "low": 64, "high": 256.5}}, "model.projection_dim cannot be 256.5"),
        (
            {"training.precision": {"start": "auto", "choices": ["auto", "float16"]}},
            "training.precision cannot be 'float16'",
        ),
        (
            {"training.epochs": {"start": 2, "low": 1, "high": 9}},
            "training.epochs cannot be tuned, the length of a trial is tune.epochs",
        ),
        ({"model.temprature": TEMPERATURE}, "model.temprature is no setting"),
    ],
)
def test_a_space_is_checked_at_its_ends(space, message):
    with pytest.raises(UserError, match=message):
        check_space(make_settings(), make_tune(space=space))


def test_a_trial_is_short_and_validated_after_every_epoch():
    tune = make_tune(epochs=3)

    settings = apply_values(make_settings(), trial_values(tune, {"model.temperature": 0.1}), source="here")

    assert (settings.training.epochs, settings.training.validate_every, settings.training.patience) == (3, 1, 3)
    assert settings.model.temperature == 0.1


@pytest.mark.parametrize(
    ("name", "message"), [("crystal+sound", "unknown modality 'sound'"), ("dos", "two modalities")]
)
def test_what_is_tuned_on_has_aligned_pairs(name, message):
    with pytest.raises(UserError, match=f"tune.combination.*{message}"):
        combination_of(make_settings(), make_tune(combination=name))


def test_tuned_values_are_read_back_bit_for_bit(tmp_path):
    values = {"model.temperature": 0.1 + 0.2e-16, "model.projection_dim": 64, "training.learning_rate": 1e-5}
    write_tuned(tmp_path / "tuned.yaml", values, preset="smoke", start=START, comments=["trial 3", "seed: 0"])

    tuned = apply_tuned(make_settings(), tmp_path / "tuned.yaml")

    assert {name: value_of(tuned, name) for name in values} == values
    assert (tmp_path / "tuned.yaml").read_text().startswith("# trial 3\n# seed: 0\npreset: smoke\nstart:\n")


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"model.temperature": 0.05, "model.projection_dim": 64}, "not 0.05, which the tuning chose beginning at 0.07"),
        ({"model.projection_dim": 64}, "not 0.07, which the tuning chose beginning at 0.07"),
    ],
)
def test_what_the_user_set_otherwise_than_the_start_stays_and_is_told(tmp_path, chosen, sentence):
    write_tuned(tmp_path / "tuned.yaml", chosen, preset="smoke", start=START, comments=[])
    sentences = []

    tuned = apply_tuned(make_settings({"model.temperature": 0.1}), tmp_path / "tuned.yaml", log=sentences.append)

    assert (tuned.model.temperature, tuned.model.projection_dim) == (0.1, 64)
    start = "to tune from 0.1, make it the start of model.temperature in tune.space"
    assert sentences == [f"model.temperature is 0.1, as you set it, {sentence}; {start}"]


def test_settings_that_are_the_start_are_tuned_without_a_word(tmp_path):
    write_tuned(tmp_path / "tuned.yaml", {"model.temperature": 0.05}, preset="smoke", start=START, comments=[])

    tuned = apply_tuned(make_settings(), tmp_path / "tuned.yaml", log=pytest.fail)

    assert tuned.model.temperature == 0.05


def test_where_nothing_was_found_the_settings_stay(tmp_path):
    settings = make_settings()
    write_tuned(tmp_path / "tuned.yaml", {}, preset="smoke", start=START, comments=[])

    assert apply_tuned(settings, tmp_path / "tuned.yaml") == settings
    assert apply_tuned(settings, tmp_path / "missing.yaml") == settings


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("preset: small\nstart: {}\n", "it was tuned for the preset 'small', the settings are of 'smoke'"),
        ("preset: smoke\nstart: {}\nmodel.temprature: 0.1\n", "tuned.yaml: model.temprature is no setting"),
        ("preset: smoke\nstart: {}\nmodel.temperature: -1\n", "tuned.yaml: model.temperature cannot be -1"),
        ("preset: smoke\nstart: {model.temprature: 0.1}\n", "tuned.yaml: model.temprature is no setting"),
        ("preset: smoke\nmodel.temperature: 0.1\n", "expected preset, start and dotted names"),
        ("start: {}\nmodel.temperature: 0.1\n", "expected preset, start and dotted names"),
        ("[1", "this is not valid YAML"),
        ("", "expected preset, start and dotted names"),
    ],
)
def test_a_tuned_file_that_does_not_fit_is_refused(tmp_path, content, message):
    (tmp_path / "tuned.yaml").write_text(content)

    with pytest.raises(UserError, match=message):
        apply_tuned(make_settings(), tmp_path / "tuned.yaml")
