"""How clips move beside the data: each figure is 1 for data, and sees its own fault."""

import pytest
import torch

from filmgrain.data.moving_shapes import Config, Dataset
from filmgrain.evaluate.pictures import of_data, whole
from filmgrain.evaluate.temporal import check, figures, measure, rows

FRAMES = 12


@pytest.fixture(scope="module")
def clips():
    data = Dataset(Config(frames=FRAMES, height=24, width=24))
    return torch.cat([*of_data(data, range(200), 0, whole)])


def beside(clips, others, boundaries=()):
    made = measure(rows(others, boundaries), rows(clips, boundaries), halves=20, seed=0, joined=bool(boundaries))
    return {name.removesuffix("[pixels]"): number for name, number in made.items()}


def test_of_a_known_clip():
    """A ramp of brightness goes on; what alternates turns back; noise in time is at 3."""
    ramp = torch.arange(8)[None, None, :, None, None].expand(1, 3, 8, 4, 4).to(torch.uint8) * 10
    assert figures(rows(ramp)) == pytest.approx({"motion": 10 / 255, "flicker": 0, "boundary": 1})
    assert figures(rows((ramp // 10 % 2) * 100))["flicker"] == pytest.approx(4)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (8, 3, 30, 8, 8), dtype=torch.uint8, generator=generator)
    assert figures(rows(noise))["flicker"] == pytest.approx(3, rel=0.03)
    assert figures(rows(torch.zeros(2, 3, 4, 4, 4, dtype=torch.uint8)))["flicker"] == 0  # still, and finite


def test_data_against_data_is_1(clips):
    for number in beside(clips[:100], clips[100:], boundaries=(4, 8)).values():
        low, high = number.interval
        assert low < 1 < high and 0 < number.error < 0.3


def test_each_fault_has_its_figure(clips):
    slower = clips[:, :, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]]
    assert beside(clips, slower)["motion"].interval[1] < 1
    flickering = (clips.float() + 20 * torch.tensor([1, -1] * 6)[:, None, None]).clamp(0, 255).to(torch.uint8)
    assert beside(clips, flickering)["flicker"].interval[0] > 1
    frozen = clips[:, :, :1].expand_as(clips)
    assert beside(clips, frozen)["motion"].value == 0


def test_a_jump_shows_only_where_pieces_were_joined(clips):
    joined = torch.cat([clips[:, :, :6], clips.roll(1, 0)[:, :, 6:]], dim=2)
    assert beside(clips, joined, boundaries=(6,))["boundary"].interval[0] > 2
    assert beside(clips, joined, boundaries=(3,))["boundary"].value < 1


def test_what_cannot_be_measured():
    for frames, boundaries, says in ((2, (), "2 frames are too few"), (8, (8,), "frame 8 is none of a clip of 8")):
        with pytest.raises(ValueError, match=says):
            check(frames, boundaries)
