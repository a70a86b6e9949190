"""One thin Prefect flow a DVC stage: `python -m pipelines.<stage>`. All work is done by functions of `matbind`."""

import os

# Prefect reads this when it is imported, so no later place would do.
os.environ.setdefault("DO_NOT_TRACK", "true")
