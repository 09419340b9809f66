"""Handlers of the endpoints: functions of (server, operation) that return an outcome, one module a subject.

Each module has its `COMMANDS`: endpoint -> handler, rule of access. Nothing else lists them (`store.command_table`).
`unsupported` has the endpoints that are refused by name, `unknown` answers what is not an endpoint.

Terms: *command*: an endpoint with its handler and the rule of who may use it; *access rule*: the check that runs
before the handler if the server limits access.
"""
