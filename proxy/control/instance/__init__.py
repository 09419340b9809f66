"""The instance's side of the protocol: how one proxy process joins, keeps its lease, acknowledges, and leaves.

lease            heartbeat, snapshot, acknowledgements, rejoin
registry         its statements: register, heartbeat, deregister
ack_conditions   when a phase may be acknowledged; pure
local_state      what must outlive the process: last snapshot, `alone`, `origin-only`
target_clock     PostgreSQL's clock, not believed after a step back
auto_rollback    runs the guards; deadline: statements with a time limit
"""
