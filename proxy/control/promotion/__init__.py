"""Promotions, demotions and completions: who takes the writes of collections changes (promotion-protocol).

promote          ArangoDB -> PostgreSQL: hold, rights, floor, commit
demote           PostgreSQL -> ArangoDB: no writer, drain, clock, commit, rights
complete         ArangoDB gets no more writes: no writer, drain, commit
transitions      names -> transitions, or why not: pure
handing          what the rooms above do for a promotion: the Protocol of the handover
rights           takes and gives back the rights of ArangoDB's users
rights_plan      which rights those are: pure
rights_keeper    the task of each proxy that lets rights follow who takes the writes
revision_floor   ArangoDB's newest revision

A promotion holds the writes of its collections at every proxy, until PostgreSQL takes them; a demotion lets PostgreSQL
refuse them, until ArangoDB has all that it lacked. Either is one epoch, which anybody may abort at any time: the
control row, the stages and who takes the writes change in one transaction (`proxy/state/control_row.py`). Rights
follow.

Terms: *hold*: the phase of a promotion in which no proxy forwards a write. *Floor*: a revision that is above all that
ArangoDB has given. *Reverse mirror*: what carries writes that PostgreSQL took to ArangoDB, from the outbox.
"""
