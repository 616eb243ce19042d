"""The bench: every sampler and every rule of guidance against data whose truth is known (analytic/). No training.

    orders       how fast a deterministic sampler's error falls with its steps
    distance     how far samples are from the true distribution, for a number of network evaluations
    conditional  what guidance makes of a video of which some frames are known
    curves       every schedule and every weighting, as a curve

Each has `run(...) -> rows`. The rest only shows the rows: tables.py in Markdown, pictures.py by matplotlib, page.py in
a page of the documentation. `filmgrain oracle` runs it all; docs/choosing_a_sampler.md is what came out.
"""
