"""What a trained model is worth: retrieval, baselines, and the comparison of combinations."""
