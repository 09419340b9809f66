"""One proxy as a process: which parts it has, in which order they start and stop.

application            composition: makes every part, starts them in order, answers /status and /check
complete_application   the same for a proxy that answers from PostgreSQL alone
complete_handler       its handler: ArangoDB's API by the store, other paths by document services
promoted_store         PostgreSQL as the server of promoted collections, beside ArangoDB
synchronous_store      the same, with answers that wait until ArangoDB has the write
reverse_parts          starts what carries PostgreSQL's writes to ArangoDB
connections            pools to PostgreSQL, ArangoDB and document services
lifetime               what both start alike: parts in order, the admin listener
listening              starts the traffic listener
process                runs an application until a signal; event loop, logs, garbage collection

Terms: *application*: all parts of one proxy; *instance*: the lasting identity that its state directory gives it;
*pool*: the connections that one part has to itself, so that no other part delays it.
"""

from proxy.app.application import Application
from proxy.app.complete_application import CompleteApplication
from proxy.app.process import run, serve

__all__ = ["Application", "CompleteApplication", "run", "serve"]
