//! What comes out of a simulator: answers, and what a test asks of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use domain::http::Delivery;
use domain::value::Value;
use serde::Serialize;

/// What the vendor answers.
#[derive(Debug, Clone, PartialEq)]
pub struct SimAnswer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// How long it takes before the first byte, ms.
    pub delay_ms: u64,
    pub delivery: Delivery,
    /// The vendor's code of a refusal, for the statistics.
    pub code: Option<String>,
}

impl SimAnswer {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body: body.to_json().into(), delay_ms: 0, delivery: Delivery::Whole, code: None }
    }

    pub(super) fn xml(status: u16, body: &Value) -> Self {
        let headers = vec![("Content-Type".to_owned(), "application/xml".to_owned())];
        Self { headers, body: super::render::xml(body).into(), ..Self::empty(status) }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: vec![], body: "".into(), delay_ms: 0, delivery: Delivery::Whole, code: None }
    }
}

/// What was asked and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SimStats {
    /// Requests by operation; `unknown` are those that the manifest declares nothing for.
    pub requests: BTreeMap<String, u64>,
    /// Refusals by the vendor's code.
    pub refused: BTreeMap<String, u64>,
    pub creates: u64,
    pub updates: u64,
    /// The most requests at once.
    pub in_flight_max: usize,
}

/// A request that came: what it asked for, and of which record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimCall {
    /// `order.write`
    pub operation: String,
    /// Our key where it names one, else the vendor's id.
    pub key: Option<String>,
    /// The keys of a batch's items.
    pub items: Vec<String>,
}

/// A stored record and how it came to be.
#[derive(Debug, Clone, PartialEq)]
pub struct SimRecord {
    pub id: String,
    pub external_key: Option<String>,
    pub revision: Option<String>,
    pub value: Value,
    /// 0 where it was there from the start.
    pub creates: u32,
    pub updates: u32,
}

/// How often one key was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Writes {
    /// Records that carry the key; more than one is a double.
    pub records: u32,
    pub creates: u32,
    pub updates: u32,
}
