"""Guidance: frozen dataclasses with a Denoiser inside, themselves Denoisers, one a file. They nest."""
