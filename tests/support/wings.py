"""Tests that go over every command, reader or writer take those of the installed wings along.

A wing keeps its own in `tests/WING/added/TOPIC.py`, where TOPIC stands for one such test. With the folder of the wing
(`htnet/WING` and `tests/WING`) all of it is gone, and the rest of the tests runs as before.
"""

from importlib import import_module
from importlib.util import find_spec

from htnet.core.wings import WINGS, installed_wings


def of_wings(topic, name):
    """The values of `name` in `tests.WING.added.TOPIC` of every installed wing whose tests are there."""
    modules = [f"tests.{wing}.added.{topic}" for wing in installed_wings() if find_spec(f"tests.{wing}") is not None]
    found = [vars(import_module(module)) for module in modules if find_spec(module) is not None]
    return [values[name] for values in found if name in values]


def with_wings(topic, name, own):
    """A dict, a tuple or a list of the rooms' cases, and after them those of the wings."""
    for more in of_wings(topic, name):
        own = own | more if isinstance(own, dict) else own + more
    return own


def names_a_missing_wing(text):
    """Whether a path or a command is one of a wing that has left."""
    words = set(text.replace(".", " ").split())
    return not words.isdisjoint(set(WINGS) - set(installed_wings()))
