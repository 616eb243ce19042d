"""The run-time checker of annotations that conftest.py puts on the rooms of mathematics and networks."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int will do for a float
