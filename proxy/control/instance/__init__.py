"""The instance's side of the protocol: how one proxy process joins, keeps its lease, acknowledges, and leaves.

lease            heartbeat, snapshot, acknowledgements
registry         its statements: register, heartbeat, deregister
ack_conditions   when a phase may be acknowledged; pure
local_state      what must outlive the process: last snapshot, `alone`, `origin-only`
target_clock     PostgreSQL's clock, not trusted after a step back
rejoin           what it must do before it holds a lease again: drain, roll back
auto_rollback    compares the budgets with its reads, and rolls back; deadline: statements with a time limit

Terms: *heartbeat*: the statement that renews the lease and reads the snapshot. *Acknowledge*: state that this instance
acts on a phase. *Diverged*: the state of an instance that may have served something else than the others know.
"""
