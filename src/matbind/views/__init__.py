"""Stored arrays to the tensors of one batch, augmented in training; one file a modality."""
