-- What says that an id at a connection is a record's: the answer to its write, or a look-up by its own key (or a person). An answer may have named
-- another's; where a look-up finds an id under another record's key, the first is asked about by its own. What stood before is believed as it was.
ALTER TABLE external_ids ADD COLUMN claim text NOT NULL DEFAULT 'key' CHECK (claim IN ('answer', 'key', 'disputed'));
ALTER TABLE external_ids ALTER COLUMN claim SET DEFAULT 'answer';

-- The moves of the protocol's table, with those of what is disputed.
DROP TRIGGER deliveries_guard ON deliveries;
CREATE TRIGGER deliveries_guard BEFORE UPDATE OF state ON deliveries FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND NOT (OLD.state || '>' || NEW.state = ANY (ARRAY[
        'planned>sending', 'planned>waiting', 'planned>exception', 'planned>held', 'planned>confirmed', 'planned>superseded', 'planned>cancelled',
        'sending>confirmed', 'sending>planned', 'sending>waiting', 'sending>exception', 'sending>held', 'sending>unknown',
        'unknown>confirmed', 'unknown>planned', 'unknown>exception', 'unknown>waiting', 'unknown>held',
        'waiting>planned', 'waiting>held', 'waiting>superseded', 'waiting>cancelled',
        'held>planned', 'held>superseded', 'held>cancelled',
        'exception>planned', 'exception>unknown', 'exception>confirmed', 'exception>superseded', 'exception>cancelled',
        'confirmed>reconciled', 'confirmed>planned', 'reconciled>planned', 'confirmed>unknown', 'reconciled>unknown'])))
    EXECUTE FUNCTION delivery_guard();
