"""Training: recipes, the engine, checkpoints and the journal."""
