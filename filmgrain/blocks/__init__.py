"""Layers. None of them knows of diffusion.

Inside a network, features are (b f) c h w in channels-last memory: a convolution reads them as they lie, and a norm or
a linear layer over channels reads the same memory as (b f h w) c. `nhwc` and `nchw` change the view, not the memory.
"""
