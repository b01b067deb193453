"""Training: recipes, loops, checkpoints, and evaluations of what was trained."""
