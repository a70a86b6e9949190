"""Texts and densities of states made for materials that come without."""
