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
    /// No answer comes, and it is done so much later.
    DropThenCommitMs(u64),
    /// It is done, and this status comes instead of the answer, in the vendor's error shape.
    StatusAfterCommit(u16),
    /// It is done, and the answer names another record.
    AnotherId,
    /// Nothing is done, and a success carries an error inside.
    ErrorInside,
    /// Nothing is done, because of a limit that is over after so many seconds.
    LimitedFor(u32),
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
    /// Half a batch: so many of its items are done, and no answer comes.
    DropAfterItems(u32),
    /// All items of a batch are done, and the answer says nothing of one, by its place from 0 on.
    OmitItem(u32),
    /// A batch is refused as a whole where one of its items is refused.
    AllOrNothing,
}

/// What is wrong with a list, or with the items of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    SelfLink,
    EndlessPages,
    RefuseItem(usize),
    ItemsMax(usize),
    OmitItem(usize),
    AllOrNothing,
}

impl Trouble {
    pub(super) fn of(fault: &Fault) -> Option<Self> {
        Some(match fault {
            Fault::SelfLink => Self::SelfLink,
            Fault::EndlessPages => Self::EndlessPages,
            Fault::RefuseItem(index) => Self::RefuseItem(*index as usize),
            Fault::DropAfterItems(count) => Self::ItemsMax(*count as usize),
            Fault::OmitItem(index) => Self::OmitItem(*index as usize),
            Fault::AllOrNothing => Self::AllOrNothing,
            _ => return None,
        })
    }
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

/// Faults that come at random, the same ones for the same seed and the same requests.
#[derive(Debug, Clone)]
pub struct Weather {
    pub matcher: FaultMatcher,
    /// So many of a thousand requests meet one.
    pub per_mille: u32,
    pub faults: Vec<Fault>,
}

/// Faults that were ordered and have not come yet, and those that come at random.
#[derive(Debug, Default)]
pub(super) struct Faults {
    ordered: Vec<(FaultMatcher, u32, Fault)>,
    weather: Vec<Weather>,
    dice: u64,
}

impl Faults {
    pub fn order(&mut self, matcher: FaultMatcher, fault: Fault) {
        let count = matcher.count.unwrap_or(1);
        self.ordered.push((matcher, count, fault));
    }

    pub fn set_weather(&mut self, weather: Vec<Weather>, seed: u64) {
        self.weather = weather;
        self.dice = seed;
    }

    /// The first that is for this request.
    pub fn take(&mut self, operation: Option<&Operation>, method: &str) -> Option<Fault> {
        let at = self.ordered.iter().position(|(matcher, count, _)| *count > 0 && matcher.fits(operation, method));
        let Some(at) = at else { return self.roll(operation, method) };
        self.ordered[at].1 -= 1;
        let fault = self.ordered[at].2.clone();
        self.ordered.retain(|(_, count, _)| *count > 0);
        Some(fault)
    }

    fn roll(&mut self, operation: Option<&Operation>, method: &str) -> Option<Fault> {
        let weather = self.weather.iter().find(|weather| weather.matcher.fits(operation, method))?;
        // splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        if z % 1_000 >= u64::from(weather.per_mille) {
            return None;
        }
        let which = usize::try_from(z / 1_000 % u64::try_from(weather.faults.len().max(1)).ok()?).ok()?;
        weather.faults.get(which).cloned()
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
        Fault::DropAfterCommit | Fault::DropThenCommitMs(_) | Fault::DropAfterItems(_) => answer.delivery = Delivery::Drop,
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
        | Fault::StatusAfterCommit(_)
        | Fault::AnotherId
        | Fault::ErrorInside
        | Fault::LimitedFor(_)
        | Fault::ExpireTokens
        | Fault::DeleteSubscriptions
        | Fault::SelfLink
        | Fault::EndlessPages
        | Fault::Redirect(_)
        | Fault::RefuseItem(_)
        | Fault::OmitItem(_)
        | Fault::AllOrNothing => {}
    }
}
