"""Conditions join with |, drop to null, and stack along the batch."""

import pytest
import torch

from filmgrain.diffusion.cond import Cond, stack


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


def test_a_dropped_condition_is_its_null_whatever_the_others_of_the_batch_say():
    """A null of one token beside captions of five is no null of five tokens."""
    cond, null = Cond(tokens=torch.ones(2, 5, 3)), Cond(tokens=torch.zeros(2, 1, 3))
    dropped = cond.drop(null, torch.tensor([True, False]))
    assert dropped.token_mask.tolist() == [[True] * 5, [True] + [False] * 4]
    short = null.drop(cond, torch.tensor([True, False]))
    assert short.token_mask.tolist() == [[True] + [False] * 4, [True] * 5]


def test_a_null_without_the_doors_of_its_condition_is_refused():
    """It would drop the condition of the whole batch without a word."""
    with pytest.raises(ValueError, match="only some of the conditions have a vector") as caught:
        Cond(vector=torch.ones(2, 3)).drop(Cond(), torch.tensor([True, False]))
    assert "\n" not in str(caught.value)


def test_stacked_conditions_stand_one_after_another():
    a = Cond(vector=torch.randn(2, 4), tokens=torch.randn(2, 3, 5), maps=torch.randn(2, 1, 3, 3))
    b = Cond(vector=torch.randn(1, 4), tokens=torch.randn(1, 3, 5), maps=torch.randn(1, 1, 3, 3))
    both = stack([a, b, a])
    assert torch.equal(both.vector, torch.cat([a.vector, b.vector, a.vector]))
    assert torch.equal(both.maps[2:3], b.maps) and both.tokens.shape == (5, 3, 5)
    assert both.token_mask is None and stack([Cond(), Cond()]) == Cond()


def test_stacked_tokens_are_padded_and_masked():
    long, short = Cond(tokens=torch.ones(1, 4, 5)), Cond(tokens=torch.ones(2, 2, 5))
    both = stack([long, short])
    assert both.tokens.sum((1, 2)).tolist() == [20, 10, 10] and both.tokens.shape == (3, 4, 5)
    assert both.token_mask.tolist() == [[True] * 4, [True, True, False, False], [True, True, False, False]]
    masked = Cond(tokens=torch.ones(1, 2, 5), token_mask=torch.tensor([[False, True]]))
    assert stack([short, masked]).token_mask.tolist() == [[True, True], [True, True], [False, True]]
    assert stack([masked, long]).token_mask.tolist() == [[False, True, False, False], [True] * 4]


def test_stacked_conditions_fill_the_same_doors():
    with pytest.raises(ValueError, match="only some of the conditions have a vector") as caught:
        stack([Cond(vector=torch.ones(2, 3)), Cond()])
    assert "\n" not in str(caught.value)


def test_the_condition_of_one_sample_is_that_of_a_batch():
    one = Cond(vector=torch.randn(1, 4), tokens=torch.randn(1, 3, 5), token_mask=torch.ones(1, 3).bool())
    three = one.expand(3)
    assert torch.equal(three.vector, one.vector.repeat(3, 1)) and three.token_mask.shape == (3, 3)
    assert torch.equal(three.expand(3).tokens, three.tokens) and Cond().expand(3) == Cond()
    with pytest.raises(ValueError, match="condition is of 3 samples, z of 2") as caught:
        three.expand(2)
    assert "\n" not in str(caught.value)


def test_each_door_is_changed():
    halves = Cond(vector=torch.ones(2, 4), maps=torch.ones(2, 1, 3, 3)).each(lambda door: door[:1] / 2)
    assert halves.vector.tolist() == [[0.5] * 4] and halves.maps.shape == (1, 1, 3, 3) and halves.tokens is None
