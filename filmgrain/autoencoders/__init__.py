"""Codecs: data x to what is diffused, x0, with unit standard deviation, and back. One a file, `Config` and `Codec`."""
