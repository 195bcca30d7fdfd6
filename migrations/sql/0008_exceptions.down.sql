DROP FUNCTION exception_waits_over(integer);
DROP FUNCTION alerts_take(integer, interval);
DROP FUNCTION alert_watches_take(integer, interval);
DROP TABLE exception_waits, alerts, alert_escalations, alert_marks, alert_watches, alert_rules, alert_receivers;
DROP POLICY system ON exceptions;
REVOKE ALL ON exceptions FROM crossdock_system;
DROP INDEX messages_stopped;
DROP INDEX exceptions_assignee;
ALTER TABLE deliveries DROP COLUMN payload_edits;
DROP TABLE exception_comments;
DROP TABLE exception_groups;
ALTER TABLE exceptions
    DROP COLUMN amount,
    DROP COLUMN currency,
    DROP COLUMN fix_kind,
    DROP COLUMN assignee_id,
    DROP COLUMN tags,
    DROP COLUMN snoozed_until;
