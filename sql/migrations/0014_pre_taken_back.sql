-- Changes that took reads back are looked up every few seconds by every instance: not through the whole audit.
CREATE INDEX audit_taken_back ON crossfade.audit (id) WHERE detail ? 'taken_back_by';
CREATE INDEX audit_acknowledged ON crossfade.audit (id) WHERE action = 'acknowledge';
