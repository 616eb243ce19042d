"""Train a peer's model on a folder of pictures or clips for some minutes, as its own README or script does.

    python benchmarks/train_peer.py ddp pictures out --minutes 2 5 10 15 20
    python benchmarks/train_peer.py diffusers pictures out --minutes 2 5 10 15 20
    python benchmarks/train_peer.py vdp clips out --minutes 2 5 10 15 20 --cpu

The clock starts with the first step: importing, listing files and building the network are not counted. At each of the
minutes the averaged weights are written to out/MINUTES in the peer's own format, which `filmgrain import` reads.
What is the peer's: loop, objective, noise schedule, optimiser, learning rate, batch, averaging, data loader. What is
ours: the network's size, of about as many parameters as recipe fashion_mnist's or demo's (their defaults are several
times as large), no mirror images, and no pictures drawn during training; for video-diffusion-pytorch the batch, too,
which is that of recipe demo (its own, 64 clips a step, would take a few dozen steps in all).

--cpu counts the processor's time instead, all threads together: for a machine that is not idle.
"""

import argparse
import contextlib
import json
import time
from pathlib import Path

import torch
from PIL import Image


class Clock:
    """Calls `save(folder)` once for each of the minutes that has passed; ends by raising Done."""

    class Done(Exception):
        pass

    def __init__(self, minutes: list[float], out: Path, save, now):
        self.minutes, self.out, self.save, self.now = sorted(minutes), out, save, now
        self.start, self.steps = None, 0

    def step(self) -> None:
        if self.start is None:  # the first call is before the first step
            self.start = self.now()
            return
        self.steps += 1
        if (self.now() - self.start) / 60 < self.minutes[0]:
            return
        folder = self.out / f"{self.minutes.pop(0):g}"
        folder.mkdir(parents=True)
        began = self.now()
        self.save(folder)
        self.start += self.now() - began  # writing is not counted
        (folder / "made.json").write_text(json.dumps({"steps": self.steps}))
        print(f"{folder}: {self.steps} steps", flush=True)
        if not self.minutes:
            raise Clock.Done


def ddp(pictures: Path, out: Path, minutes: list[float], now) -> None:
    """denoising-diffusion-pytorch, with what the example of its README says."""
    from denoising_diffusion_pytorch import GaussianDiffusion, Trainer, Unet

    network = Unet(dim=64, dim_mults=(1, 2, 2), channels=1, flash_attn=True)
    print(f"{sum(p.numel() for p in network.parameters()):,} parameters")
    diffusion = GaussianDiffusion(network, image_size=32, timesteps=1000, sampling_timesteps=250)
    trainer = Trainer(
        diffusion,
        str(pictures),
        train_batch_size=32,
        train_lr=8e-5,
        train_num_steps=10**9,
        gradient_accumulate_every=2,
        ema_decay=0.995,
        amp=False,  # its half precision is float16
        calculate_fid=False,
        augment_horizontal_flip=False,
        save_and_sample_every=10**9,
        results_folder=str(out / "results"),
    )
    # A GaussianDiffusion's weights under "model", averaged, is what its users pass on.
    clock = Clock(
        minutes, out, lambda folder: torch.save({"model": trainer.ema.ema_model.state_dict()}, folder / "model.pt"), now
    )
    update = trainer.ema.update

    def counted() -> None:
        update()
        clock.step()

    trainer.ema.update = counted
    clock.step()
    trainer.train()


def diffusers(pictures: Path, out: Path, minutes: list[float], now) -> None:
    """What diffusers' example train_unconditional.py does, with its defaults and --use_ema."""
    import numpy as np
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
    from diffusers.optimization import get_scheduler
    from diffusers.training_utils import EMAModel

    class Pictures(torch.utils.data.Dataset):
        paths = sorted(pictures.glob("*.png"))

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, index: int) -> torch.Tensor:
            return torch.from_numpy(np.array(Image.open(self.paths[index]))).float()[None] / 127.5 - 1

    batch, epochs = 16, 100
    loader = torch.utils.data.DataLoader(Pictures(), batch_size=batch, shuffle=True)
    network = UNet2DModel(
        sample_size=32,
        in_channels=1,
        out_channels=1,
        layers_per_block=2,
        block_out_channels=(64, 128, 128),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    )
    print(f"{sum(p.numel() for p in network.parameters()):,} parameters")
    noise = DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear")
    average = EMAModel(network.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8)
    rate = get_scheduler("cosine", optimizer, num_warmup_steps=500, num_training_steps=len(loader) * epochs)

    def save(folder: Path) -> None:
        average.store(network.parameters())
        average.copy_to(network.parameters())
        DDPMPipeline(unet=network, scheduler=noise).save_pretrained(folder)
        average.restore(network.parameters())

    clock = Clock(minutes, out, save, now)
    clock.step()
    while True:
        for x in loader:
            eps = torch.randn_like(x)
            t = torch.randint(0, 1000, (x.shape[0],))
            loss = (network(noise.add_noise(x, eps, t), t).sample.float() - eps).square().mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            rate.step()
            optimizer.zero_grad()
            average.step(network.parameters())
            loss.item()  # its progress bar shows the loss of every step
            clock.step()


def vdp(clips: Path, out: Path, minutes: list[float], now) -> None:
    """video-diffusion-pytorch, with its Trainer's defaults but for the batch."""
    from video_diffusion_pytorch import GaussianDiffusion, Trainer, Unet3D

    torch.Tensor.cuda = lambda self, *_, **__: self  # its loop has a GPU hard-coded
    network = Unet3D(dim=32, dim_mults=(1, 2, 4))
    print(f"{sum(p.numel() for p in network.parameters()):,} parameters")
    diffusion = GaussianDiffusion(network, image_size=32, num_frames=8, timesteps=1000, loss_type="l1")
    trainer = Trainer(
        diffusion,
        str(clips),
        train_batch_size=8,
        train_lr=1e-4,
        train_num_steps=10**9,
        gradient_accumulate_every=1,
        ema_decay=0.995,
        num_frames=8,
        amp=False,  # its half precision is float16, on GPUs
        save_and_sample_every=10**9,
        results_folder=str(out / "results"),
    )

    def save(folder: Path) -> None:
        trainer.results_folder = folder
        trainer.save(0)

    clock = Clock(minutes, out, save, now)
    clock.step()
    trainer.train(log_fn=lambda log: clock.step())


PEERS = {"ddp": ddp, "diffusers": diffusers, "vdp": vdp}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=list(PEERS))
    parser.add_argument("pictures", type=Path, help="folder of 32x32 grey .png files, or .gif clips")
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[15.0])
    parser.add_argument("--cpu", action="store_true", help="count the processor's time, not the clock's")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True)
    torch.manual_seed(0)
    with contextlib.suppress(Clock.Done):
        now = time.process_time if arguments.cpu else time.perf_counter
        PEERS[arguments.peer](arguments.pictures, arguments.out, arguments.minutes, now)


if __name__ == "__main__":
    main()
