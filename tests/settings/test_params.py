from __future__ import annotations

import copy
import re

import pytest
import yaml

from matbind.base.errors import UserError
from matbind.settings import load as settings
from matbind.settings.tune import SEARCHED
from tests.factories import ROOT, make_settings, raw_settings


def refusal(raw) -> str:
    with pytest.raises(UserError) as caught:
        settings.parse(raw)
    message = str(caught.value)
    assert message.startswith("params.yaml: ")
    assert "\n" not in message
    return message


def with_key(path: str, value: object, *, preset: bool = False) -> dict:
    """The smoke preset with one key added where nothing was."""
    raw = raw_settings()
    block = raw["presets"]["smoke"] if preset else raw
    *parents, last = path.split(".")
    for key in parents:
        block = block[key]
    block[last] = value
    return raw


def without(path: str) -> dict:
    raw = raw_settings()
    taken = [taken_out(block, path) for block in (raw["presets"]["smoke"], raw)]
    assert any(taken), path
    return raw


def taken_out(block: dict, path: str) -> bool:
    *parents, last = path.split(".")
    section = block
    for key in parents:
        section = section.get(key, {})
    return section.pop(last, None) is not None


@pytest.mark.parametrize("preset", ["small", "thorough", "paper", "smoke"])
def test_every_preset_of_the_file_is_valid(preset):
    assert settings.load(ROOT / "params.yaml", preset=preset).preset == preset


def test_only_the_thorough_preset_trains_more_than_once():
    seeds = {p: make_settings(preset=p).ablate.seeds for p in ("small", "thorough", "paper", "smoke")}
    assert seeds == {"small": (0,), "thorough": (0, 1, 2), "paper": (0,), "smoke": (0,)}


def test_the_thorough_preset_is_the_small_one_but_for_seeds_and_training():
    small, thorough = (make_settings(preset=preset).model_dump() for preset in ("small", "thorough"))
    different = {key for key in small if small[key] != thorough[key]}
    assert different == {"preset", "ablate", "training"}
    assert thorough["training"]["epochs"] > small["training"]["epochs"]
    assert thorough["training"]["batch_size"] == small["training"]["batch_size"]


@pytest.mark.parametrize(
    ("seeds", "says"),
    [
        ([], "ablate.seeds is []"),
        ([0, 1, 0], "ablate.seeds names 0 twice, expected each seed once"),
        ([-1], "ablate.seeds.0 is -1"),
    ],
)
def test_seeds_that_cannot_be_are_refused(seeds, says):
    assert says in refusal(raw_settings({"ablate.seeds": seeds}))


def test_the_file_names_its_preset():
    assert settings.load(ROOT / "params.yaml").preset == "small"


def test_the_blocks_of_a_preset_are_laid_over_the_file():
    smoke = make_settings()
    assert smoke.prepare.limit == 150
    assert smoke.prepare.split.test == 0.12


def test_parsing_leaves_its_input_alone():
    raw = raw_settings()
    before = copy.deepcopy(raw)
    settings.parse(raw)
    assert raw == before


@pytest.mark.parametrize(
    ("path", "preset", "allowed"),
    [
        ("epochs", False, "seed"),
        ("training.lr", True, "learning_rate"),
        ("model.dim", False, "projection_dim"),
        ("prepare.split.valid", False, "validation, test"),
        ("modalities.pxrd.transform.nois", False, "noise"),
        ("modalities.crystal.encoder.depth", True, "layers"),
        ("modalities.crystal.encoder.reciprocal.bins", True, "n_bins"),
        ("modalities.text.features.vocabulary", True, "tokenizer"),
    ],
)
def test_an_unknown_key_is_named_with_those_allowed(path, preset, allowed):
    message = refusal(with_key(path, 1, preset=preset))
    assert re.search(rf"unknown key {re.escape(path)}( \(did you mean \w+\?\))?, expected one of ", message)
    assert allowed in message


@pytest.mark.parametrize(
    ("right", "misspelt"),
    [("temperature", "temprature"), ("projection_dim", "projection-dim"), ("learn_temperature", "LEARN_TEMPERATURE")],
)
def test_a_misspelt_key_is_named_and_not_the_one_it_leaves_missing(right, misspelt):
    raw = raw_settings()
    raw["model"][misspelt] = raw["model"].pop(right)

    message = refusal(raw)

    assert f"unknown key model.{misspelt} (did you mean {right}?), expected one of " in message


def test_a_misspelt_key_of_a_searched_setting_is_named():
    raw = raw_settings()
    raw["tune"]["space"]["model.temperature"]["hihg"] = 0.2

    assert "unknown key tune.space.model.temperature.hihg (did you mean high?), expected one of start" in refusal(raw)


@pytest.mark.parametrize(("name", "value"), [("model.projection_dim", 4), ("model.temperature", 0.3)])
def test_a_setting_may_lie_outside_what_is_searched(name, value):
    changed, as_it_is = settings.parse(with_key(name, value)), settings.parse(raw_settings())

    assert changed.tune == as_it_is.tune


@pytest.mark.parametrize("name", SEARCHED)
def test_what_the_tune_stage_does_not_depend_on_is_in_its_space(name):
    raw = raw_settings()
    for space in (raw["tune"]["space"], raw["presets"]["smoke"]["tune"]["space"]):
        space.pop(name, None)

    assert f"tune.space.{name} is missing" in refusal(raw)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("model.temperature", -0.07, "-0.07: input should be greater than 0"),
        ("model.temperature", 0, "0: input should be greater than 0"),
        ("model.temperature", float("nan"), "nan: input should be a finite number"),
        ("model.projection_dim", "wide", "'wide': input should be a valid integer"),
        ("model.projection_dim", 12.5, "12.5: input should be a valid integer"),
        ("training.epochs", 0, "0: input should be greater than or equal to 1"),
        ("training.precision", "float16", "'float16': string should match pattern"),
        ("training.betas", [0.9, 1.0], "1.0: input should be less than 1"),
        ("prepare.split.test", 0.7, "0.7: input should be less than 0.5"),
        ("prepare.limit", 3, "3: input should be greater than or equal to 30"),
        ("prepare.pxrd.two_theta_deg", [90, 5], "the angles [90.0, 5.0] have to ascend between 0 and 180 degrees"),
        ("prepare.pxrd.crystallite_size_nm", [0, 5], "the numbers of [0.0, 5.0] have to be above 0"),
        ("deformation.volumetric", -0.1, "-0.1: input should be greater than or equal to 0"),
        ("modalities.dos.features.window_ev", [8, -16], "the first of [8.0, -16.0] has to be below the second"),
        ("modalities.dos.transform.shift_ev", "far", "'far': input should be a valid number"),
        ("modalities.pxrd.encoder.kernel", -1, "-1: input should be greater than or equal to 3"),
        ("seed", None, "None: input should be a valid integer"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_the_reason(path, value, reason):
    message = refusal(raw_settings({path: value}))
    assert path in message
    assert reason in message


@pytest.mark.parametrize(
    "path", ["seed", "model.temperature", "training.epochs", "modalities.dos.transform.noise", "prepare.split.test"]
)
def test_a_missing_key_is_named(path):
    assert f"{path} is missing, expected a value" in refusal(without(path))


@pytest.mark.parametrize(
    "path", ["modalities", "hub_order", "modalities.text", "modalities.text.transform", "training"]
)
def test_a_missing_section_is_named(path):
    assert path.rsplit(".", maxsplit=1)[-1] in refusal(without(path))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            with_key("modalities.magnetism", {}),
            "modalities names the unknown modality 'magnetism', expected crystal, dos, pxrd, text",
        ),
        (raw_settings({"hub_order": ["crystal", "txt", "pxrd", "dos"]}), "hub_order names the unknown modality 'txt'"),
        (
            raw_settings({"hub_order": ["crystal", "text", "pxrd", "dos", "dos"]}),
            "expected each of crystal, dos, pxrd, text once",
        ),
        (raw_settings({"hub_order": "crystal"}), "hub_order is 'crystal'"),
        (
            raw_settings({"ablate.combinations": ["crystal+xrd"]}),
            "ablate.combinations: unknown modality 'xrd'; allowed: crystal, dos",
        ),
        (raw_settings({"ablate.combinations": ["dos+dos"]}), "ablate.combinations: modality 'dos' is named twice"),
        (raw_settings({"ablate.combinations": ["crystal+dos", "dos+crystal"]}), "names crystal+dos twice"),
        (raw_settings({"ablate.combinations": []}), "ablate.combinations is empty, expected combinations, or null"),
        (raw_settings({"ablate.combinations": [5]}), "ablate.combinations.0 is 5"),
        (
            raw_settings({"training.learning_rate_factors": {"txt": 0.1}}),
            "learning_rate_factors names the unknown modality 'txt'",
        ),
        (raw_settings({"training.learning_rate_factors": {"text": -1}}), "training.learning_rate_factors.text is -1"),
    ],
)
def test_an_unknown_or_repeated_modality_is_named(raw, message):
    assert message in refusal(raw)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "modalities.pxrd.features.two_theta_deg",
            [10.0, 80.0],
            "is (10.0, 80.0), expected (5.0, 90.0) as in prepare.pxrd",
        ),
        ("modalities.pxrd.features.wavelength_angstrom", 0.71, "is 0.71, expected 1.54184 as in prepare.pxrd"),
        ("modalities.pxrd.features.n_bins", 9000, "is 9000, expected at most the 8501 of prepare.pxrd.n_points"),
    ],
)
def test_the_networks_grid_has_to_fit_the_patterns(path, value, message):
    assert f"{path} {message}" in refusal(raw_settings({path: value}))


@pytest.mark.parametrize("preset", ["huge", None, 5, ["small"]])
def test_an_unknown_preset_is_named_with_those_there_are(preset):
    raw = raw_settings()
    raw["preset"] = preset
    assert f"preset is {preset!r}, expected one of small, thorough, paper, smoke" in refusal(raw)


@pytest.mark.parametrize("presets", [None, {}, []])
def test_a_file_without_presets_is_refused(presets):
    raw = raw_settings()
    raw["presets"] = presets
    assert "presets is missing" in refusal(raw)


def test_a_preset_that_is_no_section_is_refused():
    raw = raw_settings()
    raw["presets"]["smoke"] = ["training"]
    assert "presets.smoke is ['training'], expected sections" in refusal(raw)


def test_a_value_has_one_place():
    raw = raw_settings()
    raw["prepare"]["limit"] = 40
    assert "presets.smoke.prepare.limit is set outside the preset too, expected one place" in refusal(raw)


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        make_settings().model.temperature = 0.1


def test_flat_settings_name_every_value_by_its_path():
    flat = make_settings().flat()
    assert flat["model.temperature"] == "0.07"
    assert flat["modalities.dos.features.n_bins"] == "120"
    assert flat["modalities.crystal.encoder.reciprocal.channels"] == "8"


def load_refusal(path) -> str:
    with pytest.raises(UserError) as caught:
        settings.load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert "params.yaml: the file does not exist" in load_refusal(tmp_path / "params.yaml")


def test_a_directory_is_no_file_of_settings(tmp_path):
    assert "this is not a readable text file" in load_refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("training: {epochs: 3", r"line 1: this is not valid YAML|line 2: this is not valid YAML"),
        ("a: 1\nb: [1\nc: 2\n", "line 3: this is not valid YAML"),
        ("", "found NoneType, expected sections"),
        ("- 1\n", "found list, expected sections"),
    ],
)
def test_a_file_that_holds_no_sections_is_named(tmp_path, content, message):
    (tmp_path / "params.yaml").write_text(content)
    import re

    assert re.search(message, load_refusal(tmp_path / "params.yaml"))


def test_a_file_in_another_encoding_is_named(tmp_path):
    (tmp_path / "params.yaml").write_bytes("preset: größer".encode("latin-1"))
    assert "not a readable text file" in load_refusal(tmp_path / "params.yaml")


def test_a_written_file_reads_as_the_same_settings(tmp_path):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw_settings()))
    assert settings.load(tmp_path / "params.yaml") == make_settings()


def test_what_a_model_keeps_of_its_settings_holds_the_sections_that_modalities_add():
    kept = make_settings().model_dump(mode="json", by_alias=True)
    assert kept["prepare"]["pxrd"] == raw_settings()["prepare"]["pxrd"]


def test_a_block_that_was_renamed_is_told_its_new_name() -> None:
    raw = raw_settings()
    raw["modalities"]["dos"]["views"] = raw["modalities"]["dos"].pop("transform")

    assert "what was called views is called transform now" in refusal(raw)


def test_a_setting_that_went_is_told_what_stands_in_its_place() -> None:
    message = refusal(with_key("training.optimizer", "adamw", preset=True))

    assert "unknown key training.optimizer, expected one of " in message
    assert message.endswith("; AdamW is the only optimizer now, remove the key")
