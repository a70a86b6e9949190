"""The check stage: a mistake in the settings is told before any other stage removes what it made.

All other stages come after it, and what it writes never changes: a change of the settings makes just their own stages
stale.
"""

from matbind.base.errors import shown
from matbind.base.files import CHECKED, written_whole
from matbind.settings.load import load

if __name__ == "__main__":
    with shown():
        load()
        with written_whole(CHECKED) as path:
            path.write_text("The settings are in order.\n")
