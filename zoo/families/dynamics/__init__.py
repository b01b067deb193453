"""Networks that learn a law of motion."""
