"""Taggers of jets in the form that the software of an experiment loads: names, layout and units of its inputs in front."""
