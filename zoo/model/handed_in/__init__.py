"""What a user hands in, read as it was meant: masks, units, column names, files; of nothing but numpy until it is of more."""
