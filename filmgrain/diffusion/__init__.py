"""The mathematics of diffusion, alone: nothing here imports the rest of the package. A file is one idea:

    process      alpha, sigma, q(z | x0), q(z_s | z_t, x0)
    schedules    time t in [0, 1] to log-SNR
    tables       the discrete schedules of DDPMs
    terminal     warnings of schedules that do not end in noise
    grids        the levels that a sampler walks
    prediction   what a network's output means: eps, x0, v, flow
    weighting    the loss weight as a function of log-SNR
    uncertainty  a weighting that is learned
    loss         the weighted error of a network
    times        which times are trained on
    importance   times drawn by the loss that was seen there
    learned      a schedule whose shape is learned
    objective    all of these as one: what a training step minimises
    stateful     choices of a recipe that learn or remember
    likelihood   variational bounds, of continuous time and of a chain
    flow_density the density along the probability flow
    decoders     the last step of both, from z to bytes or a density; bits
    denoiser     the one call that every sampler makes
    cond         the three doors by which a condition enters a network
    draw         counter-based random numbers
    steps        the adapter for networks that take the integer steps of a table

docs/mathematics.md has every equation.
"""
