"""What the trained models have learned: every question of the report, answered once from stored embeddings."""
