"""Guidance: frozen dataclasses with a Denoiser inside, themselves Denoisers, one a file. They nest.

    classifier_free       towards a condition, away from a reference: none, another condition, a weaker model
    interval              guided at some noise levels only
    rescale               the guided x0 with the contrast of the one before it
    static_threshold      x0 clipped to the range of pixels
    dynamic_threshold     x0 clipped to its own range, and shrunk to that of pixels
    classifier_gradient   towards what a classifier of z recognises
    known                 values that are known, put into x0 (replacement); outermost
    reconstruction        towards a measurement y = A(x0), by the gradient of its error
    covariance            the same by the posterior's covariance, exact for Gaussian data
    measurements          what can be measured: A
    gradients             derivatives inside of a sampler, which runs without them

A sampler that remembers earlier steps (of a multistep method) assumes that x0 changes smoothly from step to step.
"""
