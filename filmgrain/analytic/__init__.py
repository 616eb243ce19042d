"""Data whose best denoiser E[x0 | z] is known in closed form: what samplers and guidance are held against.

    gaussian   any covariance; the flow, the density and every conditional are exact as well
    mixture    several blobs, or classes: not linear
    empirical  a finite set of points: what a network that fits its training set without any error would be

Each is a Denoiser in the dtype of z. `x` is flat, (count, n); z may have any shape of n numbers a sample.
docs/mathematics.md has the equations.
"""
