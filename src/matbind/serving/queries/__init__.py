"""What a user gives of one modality, text or JSON, as a material of which that modality alone is looked at."""
