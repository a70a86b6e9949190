"""Pair distribution functions: a fifth modality, as somebody would add it; the tests run every stage with it."""
