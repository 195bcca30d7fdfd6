DROP INDEX exceptions_ignored;
DROP INDEX messages_left;
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
