DROP FUNCTION runs_take(integer, interval);
DROP TABLE runs;
ALTER TABLE attempts DROP COLUMN inputs, DROP COLUMN recipe_id;
ALTER TABLE record_revisions DROP COLUMN unbalanced, DROP COLUMN recipe_id;
DROP TABLE recipes;
DROP TABLE connector_versions;
DROP TRIGGER flow_versions_guard ON flow_versions;
DROP FUNCTION flow_version_guard();
DROP INDEX flow_versions_draft;
UPDATE flow_versions SET state = 'draft' WHERE state = 'review';
ALTER TABLE flow_versions
    DROP CONSTRAINT flow_versions_state_check,
    ADD CONSTRAINT flow_versions_state_check CHECK (state IN ('draft', 'published', 'retired')),
    DROP COLUMN as_version, DROP COLUMN approved_at, DROP COLUMN approved_by, DROP COLUMN submitted_at, DROP COLUMN drafted_by,
    DROP COLUMN note, DROP COLUMN trigger, DROP COLUMN source_mapping;
ALTER TABLE flows DROP COLUMN needs_replay, DROP COLUMN needs_approval;
