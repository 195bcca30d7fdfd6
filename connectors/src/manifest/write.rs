//! `resources.<kind>.write` and what belongs to it: look-ups before it, receipts, actions, batches, and the proof of what a lost answer did.

use domain::fault::Owner;
use domain::record::RecordKind;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::request::Request;

/// How a payload is created, or created or replaced where the vendor has an upsert.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// What is looked up first, in this order.
    #[serde(default)]
    pub before: Vec<LookUp>,
    pub request: Request,
    pub receipt: ReceiptRule,
    /// The record may be there already: it came another way, or from a system before us. Before it is created it is asked for as `proof` says,
    /// and one that is found is adopted: updated where there is an `update`, else taken as it is.
    #[serde(default)]
    pub search_first: bool,
    /// Actions that belong to every write, in this order: confirm, process. Each is proven before the next.
    #[serde(default)]
    pub then: Vec<String>,
    /// The vendor itself makes a second identical write harmless, whenever it comes: it creates or replaces by a key of the record. So one
    /// whose answer was lost is simply sent again. No idempotency key that the vendor forgets after a day is this.
    #[serde(default)]
    pub repeatable: bool,
}

/// Something that the vendor knows and the payload does not: the id of a customer by its e-mail address, of a location by its name. It is
/// read before the write, which then names it as `{{ found.<name> }}`; so do the look-ups after it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LookUp {
    /// Letters, digits and `_`.
    pub name: String,
    /// Only reads, and may be made again. It is not sent where it names something that this call does not have: without its condition it
    /// would find anything.
    pub request: Request,
    /// The path of what is looked for; where several things stand there, it is not known which one is meant. With `among` it is a path in
    /// the one that fits.
    pub value: String,
    /// The path of a list of which the one is taken whose `key` is `equals`: vendors' searches find what is only like it, too.
    #[serde(default)]
    pub among: Option<String>,
    /// A path in each of `among`.
    #[serde(default)]
    pub key: Option<String>,
    /// A template: `{{ payload.email | lower }}`.
    #[serde(default)]
    pub equals: Option<String>,
    /// Capital and small letters are the same to `equals`.
    #[serde(default)]
    pub ignore_case: bool,
    /// Answers that say it is not there, where that is not said by an empty list.
    #[serde(default)]
    pub absent: Vec<Absent>,
    pub on_missing: OnMissing,
    /// The kind of record that is looked for, where it is one of ours: a simulator looks among its own.
    #[serde(default)]
    #[schemars(schema_with = "optional_kind_schema")]
    pub kind: Option<RecordKind>,
}

fn optional_kind_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    super::kind_schema(generator)
}

/// What becomes of a write where a look-up finds nothing.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OnMissing {
    /// The write goes without it: what names it is left out.
    Skip,
    /// The write is not made, and a person is asked.
    Exception(Missing),
}

/// What a person is told where a look-up finds nothing. Knows what requests know: `{{ payload.email }}`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Missing {
    pub reason: String,
    #[schemars(schema_with = "super::owner_schema")]
    pub owner: Owner,
    pub fix: String,
}

/// Where the destination's id stands.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiptRule {
    /// A header whose last path segment is the id.
    #[serde(default)]
    pub header: Option<String>,
    /// A path in the body.
    #[serde(default)]
    pub path: Option<String>,
    #[serde(default)]
    pub version: Option<String>,
    /// The path of a list of which one is ours, where a vendor answers with all that belong together: `path` and `version` are then paths
    /// in that one.
    #[serde(default)]
    pub among: Option<String>,
    /// The path, in each of `among`, of our key.
    #[serde(default)]
    pub key: Option<String>,
}

/// How to find by business key what a lost answer did.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProofRule {
    pub request: Request,
    pub receipt: ReceiptRule,
    /// How long the vendor takes to show a write, ms.
    pub settle_ms: u64,
    /// How long after its last byte was sent a write may still take effect at the vendor, ms. It is shown `settle_ms` later: an absence
    /// that is seen before both have passed proves nothing.
    #[serde(default)]
    pub lands_within_ms: u64,
    /// Answers that say it is not there.
    #[serde(default)]
    pub absent: Vec<Absent>,
    /// Where an answer lists what was found; an empty list says that it is not there.
    #[serde(default)]
    pub found: Option<String>,
    /// The vendor leaves an empty list out.
    #[serde(default)]
    pub absent_is_empty: bool,
    /// Where the found thing carries the revision that we wrote; with `receipt.among` a path in ours. Absent: the vendor keeps none, and what
    /// is found counts as ours.
    #[serde(default)]
    pub revision: Option<String>,
}

/// An answer that says that a record is not there.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Absent {
    pub status: u16,
    /// Any of these codes of the vendor. A proxy answers 404 too, so leave them out only where the vendor's own answer has no code.
    #[serde(default)]
    pub code: Vec<String>,
}

/// A call about a record that exists, named by `{{ external_id }}`: confirm, cancel, ship.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// What is looked up first, in this order.
    #[serde(default)]
    pub before: Vec<LookUp>,
    pub request: Request,
    /// Where the answer carries the id and the version that the record has after it. Absent: the id stays.
    #[serde(default)]
    pub receipt: Option<ReceiptRule>,
    /// Reads back whether it was done.
    #[serde(default)]
    pub proof: Option<ActionProof>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionProof {
    pub request: Request,
    /// The path of a list of which one is ours, by its id: `done` is then asked of that one.
    #[serde(default)]
    pub among: Option<String>,
    /// The path of the id in each of `among`.
    #[serde(default)]
    pub key: Option<String>,
    /// An expression over the answer: true where the action was done.
    pub done: String,
}

/// Many payloads in one request, each with its own result.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Names `{{ payloads }}`: the list.
    pub request: Request,
    /// The most payloads of one request.
    pub items_max: u32,
    /// Where the answer lists the results.
    pub results: String,
    /// The path, in a payload, of what its result is found by; absent: results stand in the order of the payloads.
    #[serde(default)]
    pub item_key: Option<String>,
    /// The path of the same in a result.
    #[serde(default)]
    pub result_key: Option<String>,
    pub receipt: ReceiptRule,
    /// An expression over a result: true where the item was refused. The error catalog reads the result as if it were an answer.
    pub refused: String,
}

/// Actions by name.
pub type Actions = IndexMap<String, Action>;
