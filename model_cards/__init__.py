"""Folders of the released models, one for each."""
