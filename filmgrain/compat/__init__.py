"""Others' public names on top of the house: a script of theirs runs after a change of its import line.

    video_diffusion_pytorch       Unet3D, GaussianDiffusion, Trainer
    denoising_diffusion_pytorch   Unet, GaussianDiffusion, Trainer

Arguments and attributes are called as there, pixels are in [0, 1], and random numbers are torch's own, asked for in the
same order: the same weights and the same torch.manual_seed give the same losses and the same samples. What is not here
is refused with a ValueError that says what to use instead. docs/compat.md has what differs.
"""
