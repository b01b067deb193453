"""What a model is: its spec, its card, where it lies, and what its endpoints take."""
