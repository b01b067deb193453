"""Families of models: networks, flows, trees and ensembles that recipes configure."""
