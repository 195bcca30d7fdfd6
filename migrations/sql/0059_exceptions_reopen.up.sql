-- What was ignored by mistake is opened again (docs/exceptions.md#reopening).

-- The moves of the protocol's table, with that from cancelled back to a person.
DROP TRIGGER deliveries_guard ON deliveries;
CREATE TRIGGER deliveries_guard BEFORE UPDATE OF state ON deliveries FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND NOT (OLD.state || '>' || NEW.state = ANY (ARRAY[
        'planned>sending', 'planned>waiting', 'planned>exception', 'planned>held', 'planned>confirmed', 'planned>superseded', 'planned>cancelled',
        'sending>confirmed', 'sending>planned', 'sending>waiting', 'sending>exception', 'sending>held', 'sending>unknown',
        'unknown>confirmed', 'unknown>planned', 'unknown>exception', 'unknown>waiting', 'unknown>held',
        'waiting>planned', 'waiting>held', 'waiting>superseded', 'waiting>cancelled',
        'held>planned', 'held>superseded', 'held>cancelled',
        'exception>planned', 'exception>unknown', 'exception>confirmed', 'exception>superseded', 'exception>cancelled',
        'confirmed>reconciled', 'confirmed>planned', 'reconciled>planned', 'confirmed>unknown', 'reconciled>unknown', 'cancelled>exception'])))
    EXECUTE FUNCTION delivery_guard();

-- Of a cause those that were ignored, however many of it were closed otherwise.
CREATE INDEX exceptions_ignored ON exceptions (tenant_id, cause_key) WHERE state = 'ignored';

-- Whether a thing that never became a record was deleted since.
CREATE INDEX messages_left ON messages (connection_id, source_id) WHERE state = 'ignored' AND source_id IS NOT NULL;
