"""Stand-ins for typing, signal and json, which with the enum and re that they load took half of the start.

A type checker sees the real ones: it takes any name ``TYPE_CHECKING`` for true, wherever that comes from.
"""

from __future__ import annotations

try:
    from _json import encode_basestring_ascii as _quoted
except ImportError:  # a Python without it in C
    from json.encoder import encode_basestring_ascii as _quoted

__all__ = ("TYPE_CHECKING", "NamedTuple", "Protocol", "runtime_checkable", "signal", "to_json")

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import Any, NamedTuple, Protocol, runtime_checkable
else:
    import _signal as signal  # signal itself makes an enum of every number
    from collections import namedtuple

    class _Fields(type):
        """Makes of a class with annotated fields a tuple with these names, as ``typing.NamedTuple`` does."""

        def __new__(cls, name, bases, namespace):
            if not bases:
                return super().__new__(cls, name, bases, namespace)
            fields = namespace.get("__annotations__", {})
            defaults = [namespace.pop(field) for field in fields if field in namespace]
            made = namedtuple(name, fields, defaults=defaults, module=namespace["__module__"])
            for key, value in namespace.items():
                if key not in ("__dict__", "__weakref__"):
                    setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_Fields):
        pass

    class _Abilities(type):
        """An instance of a protocol is whatever has its methods."""

        def __instancecheck__(cls, instance):
            return all(hasattr(instance, name) for name in vars(cls) if not name.startswith("_"))

    class Protocol(metaclass=_Abilities):
        pass

    def runtime_checkable(cls):
        return cls


def to_json(value: Any) -> str:
    """What ``json.dumps`` gives without blanks, of what records hold: null, booleans, numbers, text, lists and dicts.

    Raises:
        TypeError: Something else.
    """
    if value is None or isinstance(value, bool):
        return _CONSTANTS[value]
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, dict):
        return f"{{{','.join([f'{_quoted(key)}:{to_json(item)}' for key, item in value.items()])}}}"
    if isinstance(value, (list, tuple)):
        return f"[{','.join([to_json(item) for item in value])}]"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        text = float.__repr__(value)
        return _NOT_FINITE.get(text, text)
    raise TypeError(f"a {type(value).__name__} has no place in a record")


_CONSTANTS = {None: "null", True: "true", False: "false"}
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
