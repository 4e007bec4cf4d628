"""Code of the hot path that two classes share is copied, so that each has it to itself.

CPython learns, for each place in a function that reads or writes an attribute, the one class that it meets there
(PEP 659). In a method that two classes inherit and that meets them in turn, each such place is slow for both.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import TypeVar, cast

_Class = TypeVar("_Class", bound=type)
_Function = TypeVar("_Function", bound=Callable[..., object])


def with_own_code(cls: _Class) -> _Class:
    """Give a class copies of all methods and properties that it inherits: they do the same, and are learnt apart."""
    for base in cls.__mro__[1:-1]:
        for name, inherited in vars(base).items():
            if name in vars(cls):
                continue
            if isinstance(inherited, FunctionType):
                setattr(cls, name, own_copy(inherited))
            elif isinstance(inherited, property) and isinstance(inherited.fget, FunctionType):
                setattr(cls, name, property(own_copy(inherited.fget), inherited.fset, doc=inherited.__doc__))
    return cls


def own_copy(function: _Function) -> _Function:
    """The same function once more."""
    assert isinstance(function, FunctionType)
    code = function.__code__.replace()
    twin = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    twin.__kwdefaults__ = function.__kwdefaults__
    twin.__qualname__ = function.__qualname__
    twin.__doc__ = function.__doc__
    twin.__annotations__ = function.__annotations__
    return cast(_Function, twin)
