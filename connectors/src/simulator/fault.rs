//! Faults on demand: what goes wrong, for which requests, and how often. They are taken in the order they were ordered.

use std::sync::LazyLock;

use bytes::Bytes;
use domain::fault::FaultClass;
use domain::http::Delivery;
use serde::{Deserialize, Serialize};

use super::SimAnswer;
use super::operation::Operation;
use super::render::gzip;

/// More than any client takes, bytes.
const HUGE_BYTES: usize = 9 * 1024 * 1024;
/// What the small file of the bomb becomes, bytes.
const BOMB_BYTES: usize = 32 * 1024 * 1024;
/// Packed once, because that takes a second.
static BOMB: LazyLock<Bytes> = LazyLock::new(|| gzip(&vec![b' '; BOMB_BYTES]));
const DEPTH_MAX: u32 = 200_000;
/// Longer than any caller waits.
const HANG_MS: u64 = 600_000;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// This status, in the vendor's error shape; nothing is done.
    Status(u16),
    /// An answer that means this class; nothing is done.
    Class(FaultClass),
    /// All is well, and late.
    DelayMs(u64),
    /// Nothing is done, and no answer comes.
    DropBeforeCommit,
    /// It is done, and no answer comes.
    DropAfterCommit,
    /// Nothing is done, and the connection stays open without a word until the caller gives up.
    HangBeforeCommit,
    /// It is done, and the connection stays open without a word until the caller gives up.
    HangAfterCommit,
    /// It is done, and the answer breaks off in the middle.
    TruncateBody,
    /// It is done, and a page for people comes instead of the answer.
    WrongContentType,
    /// All access tokens and sessions end before this request.
    ExpireTokens,
    /// All webhook subscriptions are gone, without a word.
    DeleteSubscriptions,
    HugeBody,
    GzipBomb,
    /// So many lists in one another.
    DeepJson(u32),
    InvalidUtf8,
    /// The length that is said is less than the body's.
    LyingLength,
    /// The next page is this page.
    SelfLink,
    /// There is always a next page.
    EndlessPages,
    Redirect(String),
    /// One item of a batch is refused, by its place from 0 on; the others are stored.
    RefuseItem(u32),
}

/// What is wrong with a list, or with one item of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    SelfLink,
    EndlessPages,
    RefuseItem(usize),
}

/// Which requests a fault meets. All that is said must fit; nothing said is every request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultMatcher {
    /// `order.write`, or what it begins with: `order`, `webhooks`.
    #[serde(default)]
    pub operation: Option<String>,
    /// `order`
    #[serde(default)]
    pub kind: Option<domain::record::RecordKind>,
    /// `POST`
    #[serde(default)]
    pub method: Option<String>,
    /// How many requests it meets; absent: one.
    #[serde(default)]
    pub count: Option<u32>,
}

impl FaultMatcher {
    /// One request of an operation: `order.write`.
    #[must_use]
    pub fn next(operation: &str) -> Self {
        Self { operation: Some(operation.to_owned()), ..Self::default() }
    }

    /// So many instead of one.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self { count: Some(count), ..self }
    }

    fn fits(&self, operation: Option<&Operation>, method: &str) -> bool {
        let name = operation.map(ToString::to_string).unwrap_or_default();
        let starts =
            |wanted: &String| name.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.operation.as_ref().is_none_or(starts)
            && self.kind.is_none_or(|kind| operation.and_then(Operation::kind) == Some(kind))
            && self.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
    }
}

/// Faults that were ordered and have not come yet.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<(FaultMatcher, u32, Fault)>);

impl Faults {
    pub fn order(&mut self, matcher: FaultMatcher, fault: Fault) {
        let count = matcher.count.unwrap_or(1);
        self.0.push((matcher, count, fault));
    }

    /// The first that is for this request.
    pub fn take(&mut self, operation: Option<&Operation>, method: &str) -> Option<Fault> {
        let at = self.0.iter().position(|(matcher, count, _)| *count > 0 && matcher.fits(operation, method))?;
        self.0[at].1 -= 1;
        let fault = self.0[at].2.clone();
        self.0.retain(|(_, count, _)| *count > 0);
        Some(fault)
    }
}

/// Spoils an answer to a request that was served.
pub(super) fn spoil(answer: &mut SimAnswer, fault: &Fault) {
    let typed = |answer: &mut SimAnswer, kind: &str| {
        answer.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        answer.headers.push(("Content-Type".into(), kind.into()));
    };
    // What has no body has none to spoil.
    if answer.status == 204 && matches!(fault, Fault::TruncateBody | Fault::InvalidUtf8 | Fault::LyingLength) {
        answer.status = 200;
    }
    match fault {
        Fault::DelayMs(ms) => answer.delay_ms += *ms,
        Fault::DropAfterCommit => answer.delivery = Delivery::Drop,
        Fault::HangBeforeCommit | Fault::HangAfterCommit => {
            answer.delay_ms = HANG_MS;
            answer.delivery = Delivery::Drop;
        }
        Fault::TruncateBody => {
            if answer.body.is_empty() {
                answer.body = "{\"status\": \"stored\"}".into();
            }
            answer.delivery = Delivery::Truncated(answer.body.len() / 2);
        }
        Fault::WrongContentType => {
            answer.status = if answer.status == 204 { 200 } else { answer.status };
            answer.body = "<!doctype html><title>Please wait</title><p>Checking your browser.".into();
            typed(answer, "text/html; charset=utf-8");
        }
        Fault::HugeBody => {
            let mut body = answer.body.to_vec();
            body.resize(HUGE_BYTES, b' ');
            answer.body = body.into();
            answer.status = if answer.status == 204 { 200 } else { answer.status };
            answer.delivery = Delivery::Chunked(64 * 1024);
        }
        Fault::GzipBomb => {
            answer.body = BOMB.clone();
            answer.status = if answer.status == 204 { 200 } else { answer.status };
            answer.headers.push(("Content-Encoding".into(), "gzip".into()));
        }
        Fault::DeepJson(depth) => {
            let depth = (*depth).min(DEPTH_MAX) as usize;
            answer.body = ("[".repeat(depth) + &"]".repeat(depth)).into();
            answer.status = if answer.status == 204 { 200 } else { answer.status };
            typed(answer, "application/json");
        }
        Fault::InvalidUtf8 => {
            let mut body = answer.body.to_vec();
            let middle = body.len() / 2;
            body.insert(middle, 0xff);
            answer.body = body.into();
        }
        Fault::LyingLength => {
            if answer.body.is_empty() {
                answer.body = "{\"status\": \"stored\"}".into();
            }
            answer.delivery = Delivery::Short(answer.body.len() / 2);
        }
        Fault::Status(_)
        | Fault::Class(_)
        | Fault::DropBeforeCommit
        | Fault::ExpireTokens
        | Fault::DeleteSubscriptions
        | Fault::SelfLink
        | Fault::EndlessPages
        | Fault::Redirect(_)
        | Fault::RefuseItem(_) => {}
    }
}
