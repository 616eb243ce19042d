"""One architecture a file, each with `Config` and `Network`: F = network(z, logsnr, cond).

`Config.channels` is the number of z's channels. A network with `takes_steps = True` is called with the step of a
discrete schedule instead of log-SNR.
"""
