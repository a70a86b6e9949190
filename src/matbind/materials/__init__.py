"""What a material is, and the physics that needs no learning."""
