"""One module for each kind of evaluation."""
