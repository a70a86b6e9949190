"""The modalities, one folder each, the combinations of them, and what the folders share."""
