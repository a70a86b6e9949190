"""One thin Prefect flow a DVC stage: `python -m pipelines.<stage>`. All work is done by functions of `matbind`."""

import os
import sys
from pathlib import Path

# Prefect reads this when it is imported, so no later place would do.
os.environ.setdefault("DO_NOT_TRACK", "true")

# A queued experiment of DVC runs in a copy of the project: with the code of the copy, the flows on the project's page.
_CODE = str(Path(__file__).parents[1] / "src")
sys.path.insert(0, _CODE)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_CODE, os.environ.get("PYTHONPATH")]))
if {"DVC_EXP_NAME", "DVC_ROOT"} <= os.environ.keys():
    os.environ.setdefault("PREFECT_HOME", str(Path(os.environ["DVC_ROOT"]) / ".prefect"))
