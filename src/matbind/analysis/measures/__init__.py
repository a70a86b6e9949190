"""Measures of embeddings, answers and contributions, as pure functions."""
