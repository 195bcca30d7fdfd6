//! `resources.<kind>.write` and what belongs to it: receipts, actions, batches, and the proof of what a lost answer did.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::request::Request;

/// How a payload is created, or created or replaced where the vendor has an upsert.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Write {
    pub request: Request,
    pub receipt: ReceiptRule,
    /// Actions that belong to every write, in this order: confirm, process. Each is proven before the next.
    #[serde(default)]
    pub then: Vec<String>,
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
}

/// How to find by business key what a lost answer did.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProofRule {
    pub request: Request,
    pub receipt: ReceiptRule,
    /// How long the vendor takes to show a write, ms.
    pub settle_ms: u64,
    /// How long after its last byte was sent a write may still take effect at the vendor, ms. An absence that is seen earlier proves nothing.
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
    /// Where the found thing carries the revision that we wrote. Absent: the vendor keeps none, and what is found counts as ours.
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
    pub request: Request,
    /// Reads back whether it was done.
    #[serde(default)]
    pub proof: Option<ActionProof>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionProof {
    pub request: Request,
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
