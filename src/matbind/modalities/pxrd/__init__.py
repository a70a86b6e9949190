"""Powder X-ray diffraction patterns."""
