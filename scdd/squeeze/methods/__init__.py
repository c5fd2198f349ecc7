"""The squeezes: one module a method.

A method's module has one function,

    make(params, network, draw) -> scdd.squeeze.engine.Method | None

which adds what the method trains beside the backbone (heads, a momentum encoder, a queue), with
random numbers from `draw`. None means that there is nothing to train. A new method is a new file.
(`imported` reads what others trained, and has `load` instead.)
"""

from types import ModuleType

from scdd.jobs import plugins


def methods() -> list[str]:
    """Every method's name, as the config spells it."""
    return plugins.names(__name__)


def module(name: str) -> ModuleType:
    """The method's module. Raises ScddError if there is none."""
    return plugins.load(__name__, name, "squeeze method")
