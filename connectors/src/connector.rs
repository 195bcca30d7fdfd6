//! One connector, loaded: its manifest and its compiled mappings.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use domain::mapping::{Filter, LookupSet, Plan, Rules};
use domain::record::RecordKind;
use domain::value::Limits;
use sha2::{Digest, Sha256};

use crate::manifest::{Field, Get, Manifest, ProofRule, Resource};
use crate::response::ErrorMatcher;
use crate::verified::Verified;

/// The file that says what a connector is.
pub(crate) const MANIFEST_FILE: &str = "connector.yaml";
/// What the name of a sample ends with that is a canonical record and no vendor's document.
const WRITE_SAMPLE: &str = "_write";

/// How many calls an account may make at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    pub bucket: String,
    pub concurrency_max: u32,
}

/// The compiled mappings of a connector.
#[derive(Debug, Default)]
pub(crate) struct Mappings {
    pub read: HashMap<RecordKind, (Rules, Plan)>,
    pub write: HashMap<RecordKind, (Rules, Plan)>,
    pub tables: LookupSet,
}

#[derive(Debug)]
pub struct Connector {
    pub manifest: Manifest,
    mappings: Mappings,
    /// The files of the folder, by name: `order.yaml`, `setup.md`, `samples/order_paid.in.json`.
    files: HashMap<String, String>,
    verified: Vec<Verified>,
    pub(crate) errors: Vec<ErrorMatcher>,
    /// By kind: true of a record that is deleted at the vendor.
    deleted: HashMap<RecordKind, Filter>,
    hash: OnceLock<ConnectorHash>,
}

/// SHA-256 of what decides the requests and the records that a connector makes: two of the same hash make the same of the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectorHash(pub [u8; 32]);

impl std::fmt::Display for ConnectorHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::hex::hex(&self.0))
    }
}

impl Connector {
    pub(crate) fn new(manifest: Manifest, mappings: Mappings, files: HashMap<String, String>, verified: Vec<Verified>) -> Self {
        let errors = manifest.errors.iter().map(ErrorMatcher::new).collect();
        // What cannot be compiled has not passed the check.
        let deleted = manifest.resources.iter().filter_map(|(kind, resource)| {
            let filter = Filter::compile(resource.deleted.as_deref()?).ok()?;
            Some((*kind, filter))
        });
        let deleted = deleted.collect();
        Self { manifest, mappings, files, verified, errors, deleted, hash: OnceLock::new() }
    }

    /// The files that decide what it makes: `connector.yaml` and the mappings, by name.
    #[must_use]
    pub fn sources(&self) -> BTreeMap<&str, &str> {
        let kinds = RecordKind::ALL.map(|kind| format!("{kind}.yaml"));
        let is_source = |name: &str| name == MANIFEST_FILE || kinds.iter().any(|kind| kind == name);
        self.files.iter().filter(|(name, _)| is_source(name)).map(|(name, text)| (name.as_str(), text.as_str())).collect()
    }

    /// Which connector this is, to the letter.
    #[must_use]
    pub fn hash(&self) -> ConnectorHash {
        *self.hash.get_or_init(|| {
            let mut hash = Sha256::new();
            for (name, text) in self.sources() {
                for part in [name, text] {
                    hash.update((part.len() as u64).to_le_bytes());
                    hash.update(part);
                }
            }
            ConnectorHash(hash.finalize().into())
        })
    }

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
        self.files.get("setup.md").map_or("", String::as_str)
    }

    /// The samples of a kind: a vendor's documents, by name. Not among them: `<kind>_write`, which is [`Self::write_sample`].
    pub fn samples(&self, kind: RecordKind) -> impl Iterator<Item = (&str, &str)> {
        let mut samples: Vec<(&str, &str)> = Vec::new();
        for (file, text) in &self.files {
            let name = file.strip_prefix("samples/").and_then(|name| name.strip_suffix(".in.json"));
            let is_one = |name: &&str| name.starts_with(kind.as_str()) && !name.ends_with(WRITE_SAMPLE);
            samples.extend(name.filter(is_one).map(|name| (name, text.as_str())));
        }
        samples.sort_unstable();
        samples.into_iter()
    }

    /// What was proven of it against software that we did not write.
    #[must_use]
    pub fn verified(&self) -> &[Verified] {
        &self.verified
    }

    /// A canonical record that this connector's write mapping takes, where it needs more than most: `samples/<kind>_write.in.json`.
    #[must_use]
    pub fn write_sample(&self, kind: RecordKind) -> Option<&str> {
        self.file(&format!("samples/{kind}{WRITE_SAMPLE}.in.json"))
    }

    /// A file of the folder.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&str> {
        self.files.get(name).map(String::as_str)
    }

    pub(crate) fn resource(&self, kind: RecordKind) -> Option<&Resource> {
        self.manifest.resources.get(&kind)
    }

    pub(crate) fn proof(&self, kind: RecordKind) -> Option<&ProofRule> {
        self.resource(kind)?.proof.as_ref()
    }

    /// How the thing itself is read, where a topic brings an id only.
    pub(crate) fn fetch(&self, topic: &str) -> Option<&Get> {
        self.manifest.webhooks.as_ref()?.topics.get(topic)?.fetch.as_ref()
    }

    /// The kinds that it reads: by a list, by files, by their ids or by webhooks.
    pub fn kinds_read(&self) -> impl Iterator<Item = RecordKind> {
        let reads = move |kind: &RecordKind| {
            let of_resource = |resource: &Resource| resource.read.is_some() || resource.files.is_some() || resource.get.is_some();
            self.resource(*kind).is_some_and(of_resource) || self.has_topic(*kind)
        };
        RecordKind::ALL.into_iter().filter(reads)
    }

    /// The kinds that it writes.
    pub fn kinds_written(&self) -> impl Iterator<Item = RecordKind> {
        let writes =
            |kind: &RecordKind| self.resource(*kind).is_some_and(|resource| resource.write.is_some() || resource.batch.is_some());
        RecordKind::ALL.into_iter().filter(writes)
    }

    /// True where webhooks bring records of this kind.
    #[must_use]
    pub fn has_topic(&self, kind: RecordKind) -> bool {
        self.manifest.webhooks.as_ref().is_some_and(|hook| hook.topics.values().any(|about| about.kind == kind && !about.deleted))
    }

    /// True where a message tells that the thing which it is about is deleted at the vendor: its topic says so, or its body does.
    #[must_use]
    pub fn tells_deleted(&self, kind: RecordKind, topic: &str, body: &[u8]) -> bool {
        let hook = self.manifest.webhooks.as_ref();
        if hook.and_then(|hook| hook.topics.get(topic)).is_some_and(|about| about.deleted) {
            return true;
        }
        let Some(filter) = self.deleted.get(&kind) else { return false };
        // What cannot be read is told by the mapping, with its place.
        filter.passes_json(body, &Limits::DEFAULT).unwrap_or(false)
    }

    /// True where what a whole read does not list any more is deleted at the vendor.
    #[must_use]
    pub fn absent_is_deleted(&self, kind: RecordKind) -> bool {
        self.resource(kind).is_some_and(|resource| resource.absent_is_deleted)
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
        self.mappings.read.get(&kind).map(|(_, plan)| plan)
    }

    /// The rules behind [`Self::read_plan`], for a tenant's to lie on top.
    #[must_use]
    pub fn read_rules(&self, kind: RecordKind) -> Option<&Rules> {
        self.mappings.read.get(&kind).map(|(rules, _)| rules)
    }

    #[must_use]
    pub fn write_plan(&self, kind: RecordKind) -> Option<&Plan> {
        self.mappings.write.get(&kind).map(|(_, plan)| plan)
    }

    /// The rules behind [`Self::write_plan`], for a tenant's to lie on top.
    #[must_use]
    pub fn write_rules(&self, kind: RecordKind) -> Option<&Rules> {
        self.mappings.write.get(&kind).map(|(rules, _)| rules)
    }

    /// The connector's own tables.
    #[must_use]
    pub fn tables(&self) -> &LookupSet {
        &self.mappings.tables
    }

    /// What the vendor allows this account.
    #[must_use]
    pub fn limits(&self, settings: &serde_json::Value) -> Vec<Limit> {
        let limit = |rule: &crate::manifest::LimitRule| {
            let given = rule.setting.as_deref().and_then(|name| settings.get(name)).and_then(serde_json::Value::as_str);
            let concurrency_max = given.and_then(|text| text.parse().ok()).or(rule.concurrency)?.clamp(1, 1_000);
            Some(Limit { bucket: rule.bucket.clone(), concurrency_max })
        };
        self.manifest.limits.iter().filter_map(limit).collect()
    }

    pub(crate) fn setting<'s>(&self, settings: &'s serde_json::Value, name: &str) -> Option<Cow<'s, str>> {
        settings.get(name.strip_prefix("settings.")?)?.as_str().map(Cow::Borrowed)
    }
}
