"""What joins the wings: release, fine-tune, calibrate, ensemble, posteriors of a simulator, upload."""
