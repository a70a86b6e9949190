from __future__ import annotations

from matbind.analysis import parameters
from tests.factories import needs_sample

pytestmark = needs_sample


def test_every_preset_and_every_model_is_counted(inputs, project_root):
    counts = parameters.count(inputs, project_root / "params.yaml")
    # Table 1 of the paper: crystal 1 M, DOS 6.4 M, pXRD 5 M, text 110 M.
    paper = counts["presets"]["paper"]
    assert {name: round(paper[name] / 1e6, 1) for name in ("crystal", "dos", "pxrd")} == {
        "crystal": 1.0,
        "dos": 6.3,
        "pxrd": 4.9,
    }
    assert set(counts["presets"]) >= {"small", "paper"}
    assert counts["trained"]["crystal+dos"] == {"crystal": 7}
