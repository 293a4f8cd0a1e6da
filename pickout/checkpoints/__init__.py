"""Weights on disk: runs of ours, importers for published files, downloads. Every key is accounted for."""
