import pytest

from filmgrain.kernels import call
from filmgrain.kernels.build import library


@pytest.fixture
def plainly(monkeypatch: pytest.MonkeyPatch):
    """Calls a function where there are no kernels."""

    def plainly(f, *arguments):
        with monkeypatch.context() as patched:
            patched.setenv("FILMGRAIN_KERNELS", "0")
            return f(*arguments)

    return plainly


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The functions of kernels that are called, in turn."""
    names: list[str] = []
    real = call.call
    monkeypatch.setattr(call, "call", lambda kernel, name, *given: (names.append(name), real(kernel, name, *given)))
    return names


@pytest.fixture(scope="session")
def kernels():
    """Skips where nothing can be compiled: there, these are the plain paths themselves."""
    if library("rms") is None:
        pytest.skip("no kernels here: no compiler, or FILMGRAIN_KERNELS=0")
