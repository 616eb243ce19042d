"""The values in a pickle, by an interpreter that can make dicts, lists, tuples, numbers, text and arrays of bytes.

A pickle is a program, and Python's own unpickler does what it says. This one knows the opcodes that archives such as
CIFAR's are written in, and it imports and calls nothing: the three names by which NumPy rebuilds an array stand for
`Array` and `Dtype` below, and a pickle with any other name, or any other opcode, is refused.
"""

import pickletools
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

RECONSTRUCT = ("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct")  # before and since NumPy 2
ARRAY, DTYPE = "numpy ndarray", "numpy dtype"
BYTE = ("u1", "|u1", "uint8")  # names of the one type of numbers that is taken
PLAIN = {
    "INT", "BININT", "BININT1", "BININT2", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE",
    "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES",
}  # fmt: skip
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Refused(ValueError):
    """A pickle that is damaged, or asks for anything but plain values; one line."""


@dataclass(frozen=True)
class Name:
    """What is behind a name of Python's, which nobody looks up."""

    name: str


@dataclass
class Dtype:
    name: str


class Array:
    """An array of NumPy's while it is rebuilt, and `values` after that."""

    values: np.ndarray | None = None

    def build(self, state: Any) -> None:
        """state: version, shape, Dtype, whether in Fortran's order, and the bytes, which Python 2 kept as text."""
        _, shape, dtype, fortran, content = state
        if not isinstance(dtype, Dtype) or dtype.name not in BYTE or fortran:
            raise Refused("holds an array that is not of bytes in C's order")
        data = content.encode("latin-1") if isinstance(content, str) else content
        if not isinstance(data, bytes) or not all(type(n) is int and n >= 0 for n in shape) or prod(shape) != len(data):
            raise Refused("holds an array whose shape does not fit its bytes")
        self.values = np.frombuffer(data, np.uint8).reshape(shape)


class Machine:
    """The pickle's stack, its marks, and what it has put aside."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def step(self, opcode: str, argument: Any) -> None:
        match opcode:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self.memo[int(argument)] = self.stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                self.stack.append(self.memo[int(argument)])
            case "MARK":
                self.marks.append(len(self.stack))
            case "EMPTY_LIST":
                self.stack.append([])
            case "EMPTY_DICT":
                self.stack.append({})
            case "GLOBAL":
                self.stack.append(_named(argument))
            case "STACK_GLOBAL":
                module, name = self._last(2)
                self.stack.append(_named(f"{module} {name}"))
            case _:
                self._combine(opcode)

    def _combine(self, opcode: str) -> None:
        match opcode:
            case "TUPLE":
                self.stack.append(tuple(self._since_mark()))
            case "LIST":
                self.stack.append(self._since_mark())
            case "DICT":
                self.stack.append(_pairs(self._since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                self.stack.append(tuple(self._last(TUPLES[opcode])))
            case "APPEND" | "APPENDS":
                values = self._last(1) if opcode == "APPEND" else self._since_mark()
                self._top(list).extend(values)
            case "SETITEM" | "SETITEMS":
                values = self._last(2) if opcode == "SETITEM" else self._since_mark()
                self._top(dict).update(_pairs(values))
            case "REDUCE":
                function, arguments = self._last(2)
                self.stack.append(_rebuilt(function, arguments))
            case "BUILD":
                (state,) = self._last(1)
                if isinstance(self.stack[-1], Array):
                    self.stack[-1].build(state)
                elif not isinstance(self.stack[-1], Dtype):  # whose state is the order of bytes in a number
                    raise Refused("sets the state of what has none")
            case _:
                raise Refused(f"has the opcode {opcode}, which plain values do not need")

    def _top(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise Refused(f"puts values into what is no {kind.__name__}")
        return self.stack[-1]

    def _last(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def _since_mark(self) -> list[Any]:
        mark = self.marks.pop()
        values = self.stack[mark:]
        del self.stack[mark:]
        return values


def loads(data: bytes) -> Any:
    """The value of a pickle of protocol 0 to 4. Raises `Refused`. Text of Python 2 comes as Latin-1."""
    machine = Machine()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in PLAIN:
                machine.stack.append(argument)
            elif opcode.name in CONSTANTS:
                machine.stack.append(CONSTANTS[opcode.name])
            else:
                machine.step(opcode.name, argument)
        (value,) = machine.stack
    except Refused:
        raise
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise Refused("is damaged, or no pickle") from error
    return value


def _named(name: str) -> Name:
    if name not in (*RECONSTRUCT, ARRAY, DTYPE):
        raise Refused(f"asks for {name.replace(' ', '.')[:80]!a}; only arrays and plain values are taken")
    return Name(name)


def _rebuilt(function: Any, arguments: Any) -> Array | Dtype:
    """What a call comes to, of the two that are known."""
    if isinstance(function, Name) and function.name in RECONSTRUCT:
        return Array()
    if isinstance(function, Name) and function.name == DTYPE and isinstance(arguments, tuple) and arguments:
        return Dtype(str(arguments[0]))
    raise Refused("calls what is no part of an array")


def _pairs(values: list[Any]) -> dict[Any, Any]:
    keys = values[::2]
    if not all(type(key) in (str, int, bytes) for key in keys):
        raise Refused("has a key that is neither text nor a number")
    return dict(zip(keys, values[1::2], strict=True))
