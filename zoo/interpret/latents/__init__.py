"""What latents stand for."""
