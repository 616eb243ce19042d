"""Calls in a thread of their own: their order, their errors, and what becomes of them at the end."""

import threading

import pytest

from filmgrain.files.background import Background


def test_calls_run_in_order_while_the_caller_goes_on():
    go, done = threading.Event(), []
    with Background() as later:
        later(go.wait, 10)
        for number in range(3):
            later(done.append, number)
        assert done == []  # and here the caller is
        go.set()
    assert done == [0, 1, 2]


def fail():
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("how", ["check", "wait", "leaving"])
def test_an_error_comes_out(how):
    done = []
    with pytest.raises(OSError, match="No space left"), Background() as later:
        later(fail)
        if how == "check":
            while not later.calls[0].done():
                pass
            later.check()
        elif how == "wait":
            later.wait()
        later(done.append, 1)
    assert how == "leaving" or done == []


def test_a_check_waits_for_nothing():
    go = threading.Event()
    with Background() as later:
        later(go.wait, 10)
        later.check()
        go.set()


def test_an_interrupt_drops_what_has_not_begun_and_waits_for_what_has(tmp_path):
    begun, go, done = threading.Event(), threading.Event(), []

    def write():
        begun.set()
        go.wait(10)
        done.append("whole")

    with pytest.raises(KeyboardInterrupt), Background() as later:
        later(write)
        later(done.append, "never")
        begun.wait(10)
        threading.Timer(0.05, go.set).start()
        raise KeyboardInterrupt
    assert done == ["whole"]
