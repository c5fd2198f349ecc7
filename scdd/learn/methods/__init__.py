"""The engines of the classic methods: one module for each way of learning images.

An engine's module has one function,

    make(params, task) -> scdd.learn.learner.Learner

Methods that differ only in their parameters share an engine: DSA is `dc` with augmentation.
"""

from types import ModuleType

from scdd.jobs import plugins


def engine(name: str) -> ModuleType:
    """The engine's module. Raises ScddError if there is none."""
    return plugins.load(__name__, name, "way of learning images")
