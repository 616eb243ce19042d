"""From noise to data: a model, a sampler and its levels, and the codec's way back."""
