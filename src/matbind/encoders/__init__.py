"""Tensors of one batch to one vector a material, one file a modality."""
