-- What is planned for a flow is a series, too: its filter may let nothing pass while the kind still comes. Its topic is the flow's id, so that the key of a
-- series stays what it was, and workers of the release before write theirs as they did.
ALTER TABLE arrival_series ADD COLUMN flow_id uuid,
    ADD FOREIGN KEY (tenant_id, flow_id) REFERENCES flows (tenant_id, id) ON DELETE CASCADE,
    ADD CHECK (flow_id IS NULL OR topic = flow_id::text);
