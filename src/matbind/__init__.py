"""matbind: one embedding space for crystal structure, density of states, powder diffraction and text."""

__version__ = "0.1.0"
