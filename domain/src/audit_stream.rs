//! The audit log, sent to a tenant's own systems as it grows: as syslog (RFC 5424, frames that say their length, RFC 6587) or as signed batches over HTTP.
//! What is sent is what is sealed, a seal after the other. Each event may come more than once, with the same id; none is left out.

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::audit::AuditEvent;
use crate::id::{AuditStreamId, TenantId};

/// Streams of a tenant.
pub const STREAMS_MAX: usize = 5;
/// Events of one batch over HTTP.
pub const BATCH_MAX: usize = 500;
/// Where nothing arrived for so long that would have had to, people are told.
pub const LAG: Duration = Duration::minutes(15);
/// Facility 13, log audit, severity 6, informational (RFC 5424, 6.2.1).
const PRIORITY: u8 = 13 * 8 + 6;
/// RFC 5424, 6.2.7.
const MSGID_CHARS_MAX: usize = 32;
const SYSLOG_PORT: u16 = 514;
const SYSLOG_TLS_PORT: u16 = 6514;

/// How a stream reaches its server. The words are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamKind {
    Syslog,
    Http,
}

impl StreamKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syslog => "syslog",
            Self::Http => "http",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Syslog, Self::Http].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Where a syslog server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogAddress {
    /// A name or an address, an IPv6 one without its brackets.
    pub host: String,
    pub port: u16,
    pub is_tls: bool,
}

impl SyslogAddress {
    /// `tls://logs.example.com:6514` or `tcp://logs.example.com`; the ports are those of RFC 5425 and of custom.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (is_tls, rest) = match text.split_once("://")? {
            ("tls", rest) => (true, rest),
            ("tcp", rest) => (false, rest),
            _ => return None,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let standard = if is_tls { SYSLOG_TLS_PORT } else { SYSLOG_PORT };
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => match rest.split_once(']')? {
                (host, "") => (host, standard),
                (host, port) => (host, port.strip_prefix(':')?.parse().ok()?),
            },
            None => match rest.split_once(':') {
                Some((host, port)) => (host, port.parse().ok()?),
                None => (rest, standard),
            },
        };
        let is_host = !host.is_empty()
            && host.len() <= 253
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte));
        (is_host && port > 0).then(|| Self { host: host.to_ascii_lowercase(), port, is_tls })
    }
}

/// An event as the receiver gets it: as the export has it, with the seal that holds it.
#[derive(Serialize)]
struct Told<'a> {
    seal: u64,
    event: &'a AuditEvent,
}

/// One frame: its length in bytes, a space, and a message of RFC 5424 whose text is the event as JSON. `host` is who sends.
#[must_use]
pub fn syslog_frame(seal: u64, event: &AuditEvent, host: &str) -> Vec<u8> {
    let json = serde_json::to_string(&Told { seal, event }).expect("an audit event is plain data");
    let at = event.at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let msgid: String = event.action.chars().filter(char::is_ascii_graphic).take(MSGID_CHARS_MAX).collect();
    let msgid = if msgid.is_empty() { "-" } else { &msgid };
    // The byte order mark says that the text is UTF-8 (6.4).
    let message = format!("<{PRIORITY}>1 {at} {host} crossdock - {msgid} - \u{feff}{json}");
    [format!("{} ", message.len()).as_bytes(), message.as_bytes()].concat()
}

/// Who sends, as syslog takes it: the host of the public address.
#[must_use]
pub fn syslog_host(public_url: Option<&str>) -> String {
    let host =
        public_url.and_then(|url| url.split_once("://")).map(|(_, rest)| rest.split(['/', ':']).next().unwrap_or_default());
    let host: String = host.unwrap_or_default().chars().filter(char::is_ascii_graphic).take(255).collect();
    if host.is_empty() { "-".to_owned() } else { host }
}

/// One batch: its id, the same for each try, and its body. A seal of more events is several.
#[must_use]
pub fn http_batches(stream: AuditStreamId, tenant: TenantId, seal: u64, events: &[AuditEvent]) -> Vec<(String, Vec<u8>)> {
    let batch = |(part, events): (usize, &[AuditEvent])| {
        let body = serde_json::json!({"type": "audit.events", "tenant": tenant, "seal": seal, "part": part, "events": events});
        (format!("{stream}.{seal}.{part}"), body.to_string().into_bytes())
    };
    events.chunks(BATCH_MAX).enumerate().map(batch).collect()
}

/// When a stream that failed is tried again: ever later, an hour at most, and for ever. `tries` counts those since something arrived.
#[must_use]
pub fn try_again(tries: i32, now: DateTime<Utc>, jitter: f64) -> DateTime<Utc> {
    const FIRST_S: f64 = 5.0;
    const LONGEST_S: f64 = 60.0 * 60.0;
    let ceiling = (FIRST_S * 2f64.powi(tries.clamp(1, 20) - 1)).min(LONGEST_S);
    let wait_s = ceiling * (0.5 + jitter.clamp(0.0, 1.0) / 2.0);
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds of an hour fit")]
    let wait = Duration::milliseconds((wait_s * 1_000.0) as i64);
    now + wait
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::id::AuditEventId;

    fn event(action: &str) -> AuditEvent {
        AuditEvent {
            id: AuditEventId(Uuid::from_u128(7)),
            tenant: TenantId(Uuid::from_u128(1)),
            at: DateTime::from_timestamp(1_795_512_600, 123_456_000).unwrap(),
            actor: serde_json::json!({"kind": "operator"}),
            action: action.to_owned(),
            subject_kind: "tenant".to_owned(),
            subject_id: Uuid::from_u128(1),
            request_id: Uuid::from_u128(2),
            detail: Some(r#"{"name":"Zoë"}"#.to_owned()),
        }
    }

    #[test]
    fn a_frame_says_its_length_in_bytes_and_holds_the_event_as_the_export_has_it() {
        let frame = syslog_frame(12, &event("member.joined"), "hub.example.com");
        let text = String::from_utf8(frame).unwrap();
        let (length, message) = text.split_once(' ').unwrap();
        assert_eq!(length.parse::<usize>().unwrap(), message.len());
        let (head, json) = message.split_once('\u{feff}').unwrap();
        assert_eq!(head, "<110>1 2026-11-24T09:30:00.123456Z hub.example.com crossdock - member.joined - ");
        let told: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(told["seal"], 12);
        assert_eq!(serde_json::from_value::<AuditEvent>(told["event"].clone()).unwrap(), event("member.joined"));
        assert!(!json.contains('\n'));
        let odd = String::from_utf8(syslog_frame(1, &event(&"x y\n".repeat(20)), "-")).unwrap();
        assert!(odd.contains(&format!(" - {} - ", "xy".repeat(16))), "{odd}");
    }

    #[test]
    fn an_address_of_syslog_says_how_and_where() {
        let parse = |text: &str| SyslogAddress::parse(text).map(|at| (at.host, at.port, at.is_tls));
        assert_eq!(parse("tls://Logs.example.com"), Some(("logs.example.com".into(), 6514, true)));
        assert_eq!(parse("tcp://10.0.0.7:1514/"), Some(("10.0.0.7".into(), 1514, false)));
        assert_eq!(parse("tls://[2001:db8::1]:7000"), Some(("2001:db8::1".into(), 7000, true)));
        assert_eq!(parse("tls://[2001:db8::1]"), Some(("2001:db8::1".into(), 6514, true)));
        for wrong in
            ["logs.example.com", "udp://a", "tls://", "tcp://a:0", "tcp://a:99999", "tcp://user@a", "tcp://a/b", "tls://a b"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_batch_has_the_same_id_each_time_and_no_more_events_than_may() {
        let stream = AuditStreamId(Uuid::from_u128(9));
        let events: Vec<AuditEvent> = (0..1_001).map(|_| event("message.received")).collect();
        let batches = http_batches(stream, TenantId(Uuid::from_u128(1)), 3, &events);
        let ids: Vec<&str> = batches.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, [0, 1, 2].map(|part| format!("{stream}.3.{part}")));
        let last: serde_json::Value = serde_json::from_slice(&batches[2].1).unwrap();
        assert_eq!((last["part"].as_u64(), last["events"].as_array().unwrap().len()), (Some(2), 1));
    }

    #[test]
    fn a_stream_that_fails_is_tried_ever_later_and_never_given_up() {
        let now = Utc::now();
        let wait = |tries| (try_again(tries, now, 1.0) - now).num_seconds();
        assert_eq!([1, 2, 3, 11, 1_000].map(wait), [5, 10, 20, 3_600, 3_600]);
        assert_eq!(syslog_host(Some("https://hub.example.com:8443/app")), "hub.example.com");
        assert_eq!(syslog_host(None), "-");
    }
}
