DROP TABLE drift_volumes, drift_policies, drifts, drift_profiles;
ALTER TABLE connections DROP COLUMN drift_version;
