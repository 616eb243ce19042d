"""Conditions join with | and drop to null."""

import pytest
import torch

from filmgrain.diffusion.cond import Cond


def test_nothing_joins_without_trace():
    cond = Cond(vector=torch.randn(2, 4), maps=torch.randn(2, 1, 3, 3))
    for joined in (cond | Cond(), Cond() | cond):
        assert joined.vector is cond.vector and joined.maps is cond.maps and joined.tokens is None


def test_vectors_add_and_tokens_and_maps_stand_side_by_side():
    a = Cond(vector=torch.randn(2, 4), tokens=torch.randn(2, 3, 5), maps=torch.randn(2, 1, 2, 3, 3))
    b = Cond(vector=torch.randn(2, 4), tokens=torch.randn(2, 7, 5), maps=torch.randn(2, 2, 2, 3, 3))
    both = a | b
    assert torch.equal(both.vector, a.vector + b.vector)
    assert torch.equal(both.tokens[:, 3:], b.tokens) and both.tokens.shape == (2, 10, 5)
    assert torch.equal(both.maps[:, :1], a.maps) and both.maps.shape == (2, 3, 2, 3, 3)


def test_a_mask_stays_with_its_tokens():
    """Tokens without a mask are all real, also beside tokens that have one."""
    masked = Cond(tokens=torch.randn(2, 3, 5), token_mask=torch.tensor([[True, True, False], [True, False, False]]))
    plain = Cond(tokens=torch.randn(2, 2, 5))
    assert (masked | plain).token_mask.tolist() == [[True, True, False, True, True], [True, False, False, True, True]]
    assert (plain | masked).token_mask.tolist() == [[True, True, True, True, False], [True, True, True, False, False]]
    assert (plain | plain).token_mask is None


def test_drop_gives_null_to_those_not_kept():
    cond = Cond(vector=torch.ones(3, 2), tokens=torch.ones(3, 4, 2), maps=torch.ones(3, 1, 2, 2))
    null = Cond(vector=torch.zeros(3, 2), tokens=torch.zeros(3, 4, 2), maps=torch.zeros(3, 1, 2, 2))
    dropped = cond.drop(null, torch.tensor([True, False, True]))
    for door in (dropped.vector, dropped.tokens, dropped.maps):
        assert door.flatten(1).mean(1).tolist() == [1, 0, 1]
    assert dropped.token_mask is None


def test_drop_takes_the_mask_of_whichever_is_picked():
    cond = Cond(tokens=torch.ones(2, 3, 5), token_mask=torch.tensor([[True, True, False]]).expand(2, 3))
    null = Cond(tokens=torch.zeros(2, 3, 5))
    assert cond.drop(null, torch.tensor([True, False])).token_mask.tolist() == [[True, True, False], [True, True, True]]


def test_a_null_without_the_doors_of_its_condition_is_refused():
    """It would drop the condition of the whole batch without a word."""
    with pytest.raises(ValueError, match="only one of the condition and its null has a vector") as caught:
        Cond(vector=torch.ones(2, 3)).drop(Cond(), torch.tensor([True, False]))
    assert "\n" not in str(caught.value)
