"""Raw records to arrays, one file a modality."""
