"""Imports of the process that proxies are forked from (`forked_proxies`): all of a proxy, with a clock that follows."""

import importlib

from tests.faults import clocks

clocks.follow()  # before modules of the product keep the function that they find
for _name in ("proxy.app", "proxy.cli", "proxy.cli.offline_status"):
    importlib.import_module(_name)
