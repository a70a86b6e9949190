"""Whether a description is read however it is typed: recall@1 of test texts asking test crystals, by way of writing.

Usage, after `make run`:  python -m benchmarks.texts MODEL [--texts 200]

MODEL is the directory of a registered model with crystal and text: `mlartifacts/models/<id>/artifacts/artifacts/model`.
The ways of writing are those that tests/modalities/text/test_plain.py holds against the plain form, token by token.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from matbind.base.files import RECORDS
from matbind.evaluation.retrieval import unit_rows
from matbind.modalities.reading import query_material
from matbind.modalities.records import Records
from matbind.serving.searcher import Searcher
from tests.modalities.text.test_plain import VARIANTS


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--texts", type=int, default=200)
    options = parser.parse_args()
    searcher = Searcher(options.model)
    crystals = searcher.gallery.keys["crystal"]
    ids, splits = (searcher.gallery.materials[column].to_numpy()[crystals.rows] for column in ("material_id", "split"))
    of_test = splits == "test"
    keys, ids = unit_rows(crystals.vectors[of_test]), ids[of_test]
    test = [m for m in Records(RECORDS).materials() if m.split == "test" and "text" in m.values]
    asked = test[:: max(1, len(test) // options.texts)][: options.texts]
    true = [int(np.flatnonzero(ids == material.material_id)[0]) for material in asked]
    ways = {"as it is": str, **VARIANTS, "the compound ...": lambda text: f"The compound {text}"}
    print(f"| text, {len(asked)} of the test split asking {len(ids)} crystals | recall@1 |\n|---|---|")
    for way, write in ways.items():
        texts = [query_material("text", write(material.values["text"])) for material in asked]
        _, z = searcher.embedder.encode_rows("text", [searcher.embedder.featurize("text", text) for text in texts])
        first = (unit_rows(z) @ keys.T).argmax(axis=1)
        print(f"| {way} | {np.mean(first == true):.3f} |", flush=True)


if __name__ == "__main__":
    main()
