//! One connector, loaded: its manifest and its compiled mappings.

use std::borrow::Cow;
use std::collections::HashMap;

use domain::mapping::{LookupSet, Plan, Rules};
use domain::record::RecordKind;

use crate::manifest::{Field, Manifest};

/// How many calls an account may make at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    pub bucket: String,
    pub concurrency_max: u32,
}

#[derive(Debug)]
pub struct Connector {
    pub manifest: Manifest,
    pub(crate) read: HashMap<RecordKind, Plan>,
    pub(crate) write: HashMap<RecordKind, (Rules, Plan)>,
    pub(crate) tables: LookupSet,
    pub(crate) setup: String,
}

impl Connector {
    #[must_use]
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    #[must_use]
    pub fn title(&self) -> &str {
        &self.manifest.title
    }

    /// The API version that is called.
    #[must_use]
    pub fn version(&self) -> &str {
        self.manifest.versions.iter().find(|version| version.current).map_or("", |version| version.id.as_str())
    }

    /// The connect guide, in Markdown.
    #[must_use]
    pub fn setup(&self) -> &str {
        &self.setup
    }

    #[must_use]
    pub fn settings(&self) -> &indexmap::IndexMap<String, Field> {
        &self.manifest.settings
    }

    #[must_use]
    pub fn credential(&self) -> &indexmap::IndexMap<String, Field> {
        &self.manifest.credential
    }

    #[must_use]
    pub fn read_plan(&self, kind: RecordKind) -> Option<&Plan> {
        self.read.get(&kind)
    }

    #[must_use]
    pub fn write_plan(&self, kind: RecordKind) -> Option<&Plan> {
        self.write.get(&kind).map(|(_, plan)| plan)
    }

    /// The rules behind [`Self::write_plan`], for a tenant's to lie on top.
    #[must_use]
    pub fn write_rules(&self, kind: RecordKind) -> Option<&Rules> {
        self.write.get(&kind).map(|(rules, _)| rules)
    }

    /// The connector's own tables.
    #[must_use]
    pub fn tables(&self) -> &LookupSet {
        &self.tables
    }

    /// What the vendor allows this account.
    #[must_use]
    pub fn limits(&self, settings: &serde_json::Value) -> Vec<Limit> {
        let limit = |rule: &crate::manifest::LimitRule| {
            let given = rule.setting.as_deref().and_then(|name| settings.get(name)).and_then(serde_json::Value::as_str);
            let concurrency_max = given.and_then(|text| text.parse().ok()).unwrap_or(rule.default).clamp(1, 1_000);
            Limit { bucket: rule.bucket.clone(), concurrency_max }
        };
        self.manifest.limits.iter().map(limit).collect()
    }

    pub(crate) fn setting<'s>(&self, settings: &'s serde_json::Value, name: &str) -> Option<Cow<'s, str>> {
        settings.get(name.strip_prefix("settings.")?)?.as_str().map(Cow::Borrowed)
    }
}
