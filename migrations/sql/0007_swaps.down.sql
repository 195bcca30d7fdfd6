DROP FUNCTION swaps_take(integer, interval);
DROP TABLE swaps;
ALTER TABLE flows DROP COLUMN was_swapped;
DROP TRIGGER flow_versions_guard ON flow_versions;
UPDATE flow_versions SET state = 'retired' WHERE state = 'candidate';
DROP INDEX flow_versions_candidate;
ALTER TABLE flow_versions
    DROP CONSTRAINT flow_versions_candidate_check,
    DROP CONSTRAINT flow_versions_state_check,
    ADD CONSTRAINT flow_versions_state_check CHECK (state IN ('draft', 'review', 'published', 'retired')),
    DROP COLUMN destination_connection_id;
CREATE OR REPLACE FUNCTION flow_version_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF (OLD.filter, OLD.source_mapping, OLD.mapping, OLD.policy, OLD.trigger, OLD.version, OLD.flow_id)
       IS DISTINCT FROM (NEW.filter, NEW.source_mapping, NEW.mapping, NEW.policy, NEW.trigger, NEW.version, NEW.flow_id)
       OR OLD.state = 'retired' AND NEW.state <> 'retired' OR NEW.state NOT IN ('published', 'retired') THEN
        RAISE EXCEPTION 'version % of flow % was published and cannot change', OLD.version, OLD.flow_id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER flow_versions_guard BEFORE UPDATE ON flow_versions FOR EACH ROW WHEN (OLD.state IN ('published', 'retired'))
    EXECUTE FUNCTION flow_version_guard();
