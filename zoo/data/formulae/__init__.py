"""Formulae as sequences of tokens: written, evaluated, recognized, made at random, and those that searches are judged by."""
