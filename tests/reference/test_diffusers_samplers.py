"""Our samplers against diffusers' schedulers, step for step and number for number. theirs.py has what differs, and why.

Those of theirs that compute in the dtype they are given agree to 1e-11; the others cast to float32, and agree to 1e-6.
"""

import pytest
import torch
from theirs import F64, PREDICTION_TYPES, Run

from filmgrain.guidance.static_threshold import StaticThreshold

F32 = torch.float32
EXACT, SINGLE = 1e-11, 1e-6
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers")


@pytest.mark.parametrize("variance", ["small", "large"])
@pytest.mark.parametrize("steps", [1000, 50])
def test_ddpm(variance, steps):
    """The whole chain, and 50 of its steps (`timestep_spacing="leading"`, the rule there)."""
    run = Run("DDPMScheduler", steps, variance_type=f"fixed_{variance}", clip_sample=False)
    assert run.walk("ddpm", {"variance": f"fixed{variance}"}, noise=F64).apart() < EXACT
    if steps < 1000:
        gamma = {"small": 0.0, "large": 1.0}[variance]
        assert run.walk("ancestral", {"gamma": gamma}, noise=F64).apart() < EXACT


@pytest.mark.parametrize("prediction", PREDICTION_TYPES)
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_ddim(prediction, spacing):
    config = {"prediction_type": PREDICTION_TYPES[prediction], "timestep_spacing": spacing, "clip_sample": False}
    assert Run("DDIMScheduler", 20, **config).walk("ddim", prediction=prediction).apart() < EXACT


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_ddim_with_noise(eta):
    run = Run("DDIMScheduler", 20, clip_sample=False)
    assert run.walk("ddim", {"eta": eta}, noise=F64, step={"eta": eta}).apart() < EXACT


@pytest.mark.parametrize("name", ["DDPMScheduler", "DDIMScheduler"])
def test_x0_clipped(name):
    """`clip_sample` is our StaticThreshold. DDIM's keeps the eps of before it unless `use_clipped_model_output` is set;
    ours has the eps that goes with x0."""
    run = Run(name, 20, clip_sample=True, clip_sample_range=0.5)
    if name == "DDPMScheduler":
        assert run.walk("ddpm", noise=F64, guide=lambda d: StaticThreshold(d, limit=0.5)).apart() < EXACT
    else:
        clipped = {"use_clipped_model_output": True}
        assert run.walk("ddim", step=clipped, guide=lambda d: StaticThreshold(d, limit=0.5)).apart() < EXACT
        assert run.walk("ddim", guide=lambda d: StaticThreshold(d, limit=0.5)).apart() > 0.01


@pytest.mark.parametrize("steps", [8, 20])
@pytest.mark.parametrize(("order", "sampler"), [(1, "ddim"), (2, "dpmpp_2m")])
def test_dpm_solver(order, sampler, steps):
    """Below 15 steps theirs ends in lower order (`lower_order_final`), as with a final sigma of 0 it always does."""
    assert Run("DPMSolverMultistepScheduler", steps, solver_order=order).walk(sampler).apart() < SINGLE


@pytest.mark.parametrize("prediction", PREDICTION_TYPES)
def test_dpm_solver_of_each_prediction(prediction):
    run = Run("DPMSolverMultistepScheduler", 20, prediction_type=PREDICTION_TYPES[prediction])
    assert run.walk("dpmpp_2m", prediction=prediction).apart() < SINGLE


def test_dpm_solver_to_a_finite_level():
    """Where the last step is of second order too: theirs needs `lower_order_final=False` for that below 15 steps."""
    config = {"final_sigmas_type": "sigma_min", "timestep_spacing": "linspace"}
    full = Run("DPMSolverMultistepScheduler", 8, lower_order_final=False, **config)
    assert full.walk("dpmpp_2m").apart() < SINGLE and full.levels[-1] < 10
    assert Run("DPMSolverMultistepScheduler", 20, **config).walk("dpmpp_2m").apart() < SINGLE
    assert Run("DPMSolverMultistepScheduler", 8, **config).walk("dpmpp_2m").apart() > 1e-4


def test_dpm_solver_of_order_3_is_the_published_one():
    """Theirs lacks the factor 2 (docs/mathematics.md), and begins as ours only with `solver_type="heun"`."""
    config = {"solver_order": 3, "lower_order_final": False, "final_sigmas_type": "sigma_min"}
    run = Run("DPMSolverMultistepScheduler", 20, solver_type="heun", **config)
    assert run.walk("dpmpp_3m", {"published": True}).apart() < SINGLE
    assert run.walk("dpmpp_3m").apart() > 1e-4


@pytest.mark.parametrize("steps", [8, 20])
def test_dpm_solver_with_noise(steps):
    """`sde-dpmsolver++` is our eta = 1. It draws its noise in float32."""
    run = Run("DPMSolverMultistepScheduler", steps, algorithm_type="sde-dpmsolver++")
    assert run.walk("dpmpp_2m_sde", noise=F32).apart() < SINGLE


@pytest.mark.parametrize("steps", [8, 20])
@pytest.mark.parametrize("order", [1, 2])
def test_unipc(order, steps):
    run = Run("UniPCMultistepScheduler", steps, solver_order=order)
    assert run.walk("unipc", {"order": order}).apart() < EXACT


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("variant", ["bh1", "bh2"])
def test_unipc_to_a_finite_level(order, variant):
    """`lower_order_final`, the rule there, would take order 2 and 1 in the last two steps of order 3. (With bh1 their
    step to a sigma of 0 is NaN, as B(h) = h is infinite.)"""
    config = {"solver_order": order, "solver_type": variant, "lower_order_final": False}
    run = Run("UniPCMultistepScheduler", 20, final_sigmas_type="sigma_min", **config)
    assert run.walk("unipc", {"order": order, "variant": variant}).apart() < EXACT


def test_heun():
    """10 steps of theirs stand at whole steps of the table, 0, 111, ... 999; others between, on interpolated sigmas."""
    run = Run("HeunDiscreteScheduler", 10)
    assert len(run.scheduler.timesteps) == 19
    assert run.walk("heun").apart() < EXACT


def test_euler():
    assert Run("EulerDiscreteScheduler", 10).walk("euler").apart() < SINGLE
    assert Run("EulerDiscreteScheduler", 10).walk("ddim").apart() < SINGLE


def test_euler_between_the_steps_of_the_table():
    """On Karras' sigmas both give the network the step at which log sigma stands between its neighbours."""
    run = Run("EulerDiscreteScheduler", 12, use_karras_sigmas=True)
    assert any(t != t.round() for t in run.scheduler.timesteps)
    assert run.walk("euler").apart() < SINGLE


def test_euler_ancestral_is_ancestral():
    """Its sigma_up is the deviation of the posterior, at any levels: gamma = 0, or ddim's eta = 1."""
    run = Run("EulerAncestralDiscreteScheduler", 10)
    assert run.walk("ancestral", {"gamma": 0.0}, noise=F64).apart() < SINGLE
    assert run.walk("ddim", {"eta": 1.0}, noise=F64).apart() < SINGLE


@pytest.mark.parametrize(
    ("name", "sampler", "noise"),
    [
        ("DDIMScheduler", "ddim", None),
        ("DPMSolverMultistepScheduler", "dpmpp_2m", None),
        ("UniPCMultistepScheduler", "unipc", None),
        ("HeunDiscreteScheduler", "heun", None),
        ("EulerDiscreteScheduler", "euler", None),
        ("EulerAncestralDiscreteScheduler", "ddpm", F32),
        ("DDPMScheduler", "ddpm", F32),
    ],
)
def test_as_they_come(name, sampler, noise):
    """All of it in float32 on both sides: 10 steps agree to its rounding."""
    config = {"clip_sample": False} if name in ("DDIMScheduler", "DDPMScheduler") else {}
    assert Run(name, 10, double=False, **config).walk(sampler, noise=noise).apart() < 5e-6


def test_in_float32_their_chain_is_less_exact_near_the_data():
    """Why the tables above are in float64: beta = 1 - alpha_bar_t / alpha_bar_s of neighbours is a small difference."""
    run = Run("DDPMScheduler", 1000, double=False, clip_sample=False)
    walk = run.walk("ddpm", noise=F32)
    exact = Run("DDPMScheduler", 1000, clip_sample=False).walk("ddpm", noise=F32)
    ours, theirs = (
        max(float((a - b).abs().max()) for a, b in zip(single, exact.ours, strict=True))
        for single in (walk.ours, walk.theirs)
    )
    assert ours < theirs and 1e-6 < theirs < 1e-2
