from __future__ import annotations

import json

import numpy as np
import pytest

from matbind.serving.searcher import FIELDS, Options, Searcher, columns, example_of
from tests.factories import needs_sample
from tests.serving.trained import (
    EVERYTHING,
    bundle,
    intensity,
    pattern_json,
    query,
    searcher,
    test_materials,
    trained,
    with_dos,
)

pytestmark = needs_sample
ROCK_SALT = example_of("crystal")


def embedding(record: dict[str, str]) -> np.ndarray:
    answer = searcher().answer(record, Options(wanted="embedding"))
    assert answer["error"] is None
    return np.array(answer["embedding"])


@pytest.mark.parametrize(
    ("name", "column", "tolerance"),
    [
        ("crystal", "poscar", 1e-5),
        ("crystal", "cif", 1e-3),  # eight digits of a coordinate, and another setting of the axes
        ("dos", "dos", 1e-5),
        ("pxrd", "pxrd", 1e-5),
        ("text", "text", 1e-5),
    ],
)
def test_a_query_is_embedded_as_the_evaluation_embedded_it(name: str, column: str, tolerance: float) -> None:
    stored = trained().test_embeddings[name]
    rows = [row for row in range(len(stored)) if np.isfinite(stored[row]).all()][:4]

    vectors = [embedding(query(test_materials()[row], name, column)) for row in rows]

    np.testing.assert_allclose(vectors, stored[rows], atol=tolerance)


def test_several_modalities_are_one_query_their_normalised_mean() -> None:
    material = with_dos()
    parts = [embedding(query(material, name)) for name in ("dos", "text")]

    vector = embedding(query(material, "dos") | query(material, "text"))

    np.testing.assert_allclose(vector, np.sum(parts, axis=0) / np.linalg.norm(np.sum(parts, axis=0)), atol=1e-6)


def test_a_material_of_the_gallery_is_its_own_nearest() -> None:
    material = test_materials()[0]

    answer = searcher().answer(query(material, "crystal"))

    first = answer["nearest"][0]
    assert (first["rank"], first["material_id"], first["formula"], first["split"]) == (
        1,
        material.material_id,
        material.formula,
        "test",
    )
    assert first["similarity"] == pytest.approx(1.0, abs=1e-3)


def test_the_list_is_ranked_and_as_long_as_asked() -> None:
    answer = searcher().answer(ROCK_SALT, Options(k=7, key="text"))

    similarity = [hit["similarity"] for hit in answer["nearest"]]
    assert len(similarity) == 7
    assert similarity == sorted(similarity, reverse=True)
    assert answer["embedding"] is None


def test_both_gives_list_and_embedding() -> None:
    answer = searcher().answer(ROCK_SALT, Options(wanted="both"))

    assert len(answer["nearest"]) == 10
    assert len(answer["embedding"]) == 128


def test_an_answer_is_json() -> None:
    answer = searcher().answer(ROCK_SALT, Options(wanted="both"))

    assert json.loads(json.dumps(answer, allow_nan=False)).keys() == set(FIELDS)


def test_an_answer_says_how_sure_it_is() -> None:
    answers = (searcher().answer(query(material, "text")) for material in test_materials())
    answer = next(answer for answer in answers if answer["probability"] is not None)

    assert 0 <= answer["probability"] <= 1
    assert answer["confident"] is False
    assert answer["message"].startswith("no confident match: only in about ")


@pytest.mark.parametrize("kind", ["noise", "flat", "ramp"])
def test_a_pattern_of_nothing_is_unlike_anything_known(kind: str) -> None:
    rng = np.random.default_rng(0)
    counts = {"noise": rng.poisson(100, 8501), "flat": rng.uniform(0.98, 1, 8501), "ramp": np.arange(8501.0)}[kind]

    answer = searcher().answer({"pxrd": pattern_json(counts)})

    assert answer["message"].startswith("no confident match: this pxrd is unlike anything the model was trained on")
    assert answer["probability"] is None
    assert answer["confident"] is False
    assert len(answer["nearest"]) == 10


def test_measurements_of_materials_are_known() -> None:
    answers = [searcher().answer(query(material, "pxrd")) for material in test_materials()[:20]]

    assert (
        sum(answer["probability"] is None for answer in answers) <= 3
    )  # 2 of 100, if the model has seen more than the test run can afford


def test_oxygen_is_in_every_answer_that_has_to_contain_it() -> None:
    answer = searcher().answer(ROCK_SALT, Options(contains=("O",)))

    assert all("O" in hit["formula"] for hit in answer["nearest"])


def test_a_filter_that_nothing_passes_is_said() -> None:
    assert searcher().answer(ROCK_SALT, Options(only=("Og",)))["error"] == (
        "no material of the gallery passes the element filter"
    )


@pytest.mark.parametrize(
    ("record", "error"),
    [
        ({}, "the query is empty, expected at least one of cif, poscar, dos, pxrd, text"),
        ({"text": "  ", "cif": float("nan"), "dos": None}, "the query is empty"),
        ({"text": 7}, "text is of type int, expected text"),
        (ROCK_SALT | {"cif": "data_x"}, "cif and poscar both give a crystal, expected one of them"),
        ({"cif": "data_x"}, "cif: the CIF holds no atoms"),
        ({"text": "the of and"}, "text: the text holds no word that describes a crystal"),
    ],
)
def test_what_is_wrong_with_a_query_is_said(record: dict[str, object], error: str) -> None:
    answer = searcher().answer(record)

    assert answer["error"].startswith(error)
    assert answer["nearest"] is None


def test_a_modality_the_model_lacks_is_said() -> None:
    assert searcher("text").answer(ROCK_SALT)["error"] == "crystal: this model knows text and cannot embed a crystal"


def test_a_gallery_the_model_lacks_is_said() -> None:
    assert (
        searcher("text").answer(example_of("text"), Options(key="dos"))["error"] == "key is 'dos', expected one of text"
    )


def test_without_crystals_the_hub_is_searched() -> None:
    assert searcher("text").default_key == "text"


@pytest.mark.parametrize("options", [{"k": 0}, {"k": 1001}, {"wanted": "everything"}])
def test_options_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Options(**options)


@pytest.mark.parametrize("name", ["crystal", "dos", "pxrd", "text"])
def test_the_example_of_each_modality_is_answered(name: str) -> None:
    assert searcher().answer(example_of(name))["error"] is None


def test_a_query_has_a_column_for_every_kind_of_input() -> None:
    assert list(columns()) == ["cif", "poscar", "dos", "pxrd", "text"]


def test_a_pattern_measured_in_part_is_still_answered() -> None:
    measured = intensity(test_materials()[0])[1000:5000]

    answer = searcher().answer({"pxrd": pattern_json(measured, two_theta_deg=np.linspace(15, 55, 4000).tolist())})

    assert answer["error"] is None


def test_code_that_answers_is_the_code_the_model_was_made_with() -> None:
    assert Searcher(bundle(EVERYTHING)).has_own_code


def test_words_of_another_matter_are_unlike_anything_known() -> None:
    answer = searcher().answer({"text": "Arsenal beat Chelsea two nil on Saturday thanks to a late goal."})

    assert answer["message"].startswith("no confident match: this text is unlike anything the model was trained on (it")
    assert answer["probability"] is None
