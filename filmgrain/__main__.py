"""`python -m filmgrain` is `filmgrain`."""

from filmgrain.cli import main

main()
