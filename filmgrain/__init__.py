"""filmgrain trains and samples diffusion models of videos and images on a folder of one's own files."""

__version__ = "0.1.0"
