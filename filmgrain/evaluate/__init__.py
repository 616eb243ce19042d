"""Measures of what a model samples."""
