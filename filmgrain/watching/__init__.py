"""A run seen from outside, by its files: `history` reads them, `screen` shows them live, `report` makes a page of them.

Nothing here trains, locks or writes into a run, and nothing imports torch: to watch costs what reading a file costs.
"""
