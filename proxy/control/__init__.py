"""Stages and how collections move through them: epochs, leases, gates (DESIGN section 9; mirror-protocol, Flip).

controller         the operator's side: an epoch is begun, acknowledged phase by phase, committed or aborted
promotion/         promote and demote: who takes the writes changes
epoch              one change that is carried out; overdue: epochs that any instance may abort
transitions_plan   targets -> transitions -> phases; pure
gates/             conditions of a flip and of a promotion; pure
gate_inputs        reads the evidence that gates judge; thresholds: the limits that they judge by
rollback_budgets   automatic rollback, when reads of a flipped collection fail or differ; read_stats: its input
preflight          asks every registered instance whether it is ready for a change
instance/          the instance's side: registration, heartbeat, lease, acknowledgements

Terms: *epoch*: one change of stages; *phase*: a step of it that every instance acknowledges. *Lease*: the time for
which an instance may read PostgreSQL without hearing from it again. *Instance*: one proxy process with its state
directory.
"""
