"""The public test suites of ArangoDB's drivers, run against the development server, the shadow and the flipped proxy.

`make drivers DRIVERS=folder` runs those whose repositories lie in that folder, and prints what passed and what failed
by suite, target and feature. None of their code is kept here: a suite is run by its own test command in its own
checkout. A suite is one module in `suites` and one file in `scope`, which lists by name and with reasons what of it
Crossfade does not serve.
"""
