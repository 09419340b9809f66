"""Plumbing without domain knowledge: every other room may import it, it imports none.

config            settings: environment, TOML, defaults
config_names      names of settings, and what a wrong one was meant to be; config_messages: what a wrong value must be
config_checks     checks of settings that are URLs
token_secret      the secret that signs tokens, of the settings
errors            the one tree of errors, drawn; sqlstates, arango_errors: what the codes of both databases mean
database          PostgreSQL by asyncpg; session_settings: what each session sets for itself
arango_client     ArangoDB by httpx, for what is not on a request's path
metrics           every Prometheus metric; waits: what a request waits for, by reason
spool             large values on their way to a client, on disk
sql_values        columns and text in the form that PostgreSQL takes
supervise         tasks that are restarted, and awaited at the end; periodic: work that is repeated
together          several requests, a few at a time
backoff           longer pauses from failure to failure; log_throttle: one log line a minute for trouble that lasts
failpoints        named points where a test kills or stops the process
state_directory   the instance's private directory and lasting id; machine: boot and file identities
private_files     files and folders that only their owner may read
free_port         free ports on loopback
module_discovery  the modules of a package, imported, which fills the tables that they register themselves in

Terms: *failpoint*: a named place in the code at which a test stops or kills the process. *Lane* and worker: see
`proxy.isolation`. *Loopback*: addresses of this machine only.
"""
