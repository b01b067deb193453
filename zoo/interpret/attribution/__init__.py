"""What drives an answer, and what a network has learned to look for."""
