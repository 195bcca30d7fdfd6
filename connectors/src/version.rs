//! What says that the API version which a connector calls comes to its end: headers of an answer, the version that an answer or a webhook
//! says it is of, and the dates that the connector itself carries.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use domain::http::HttpAnswer;
use domain::sunset::{Sign, SunsetReason};

use crate::connector::Connector;
use crate::read::link;
use crate::response::parse;

/// A longer name is none of a version.
const VERSION_BYTES_MAX: usize = 100;
const LINK_BYTES_MAX: usize = 500;
/// Relations of a link to where the vendor says more (RFC 8594 section 6, RFC 9745 section 3, RFC 5829), the most telling first. A link alone
/// is no sign: a vendor may link its policy from every answer.
const RELATIONS: [&str; 3] = ["sunset", "deprecation", "successor-version"];

impl Connector {
    /// What an answer says of the end of the version that is called. Most say nothing, and that costs a look at the headers' names; only
    /// where `version_echo` names a path in the body, the body is read too.
    #[must_use]
    pub fn sunset_signs(&self, answer: &HttpAnswer) -> Vec<Sign> {
        let mut signs = Vec::new();
        let deprecated = answer.header("deprecation").and_then(deprecation);
        let ends_at = answer.header("sunset").and_then(date);
        if deprecated.is_some() || ends_at.is_some() {
            let reason = if ends_at.is_some() { SunsetReason::AnnouncedByHeader } else { SunsetReason::Deprecated };
            let deprecated_at = deprecated.flatten();
            signs.push(Sign { ends_at, deprecated_at, link: documentation(answer), ..self.sunset_sign(reason) });
        }
        signs.extend(self.echoed(answer).and_then(|served| self.other(SunsetReason::EchoedOtherVersion, &served)));
        signs
    }

    /// What the version that a webhook came in says.
    #[must_use]
    pub fn sunset_of_hook(&self, sent: &str) -> Option<Sign> {
        self.other(SunsetReason::SentOtherVersion, sent)
    }

    /// What the connector itself says: the day on which the version that it calls ends, by the vendor's documentation.
    #[must_use]
    pub fn sunset_by_date(&self) -> Option<Sign> {
        let current = self.manifest.versions.iter().find(|version| version.current)?;
        let ends_at = current.sunset?.and_time(NaiveTime::MIN).and_utc();
        Some(Sign { ends_at: Some(ends_at), ..self.sunset_sign(SunsetReason::ConnectorsDate) })
    }

    fn echoed<'a>(&self, answer: &'a HttpAnswer) -> Option<Cow<'a, str>> {
        let place = self.manifest.version_echo.as_ref()?;
        match place.header.iter().find_map(|name| answer.header(name)) {
            Some(header) => Some(header.into()),
            None if place.path.is_some() => place.find(answer, parse(answer).as_ref()).map(Cow::Owned),
            None => None,
        }
    }

    fn other(&self, reason: SunsetReason, served: &str) -> Option<Sign> {
        let served = served.trim();
        let is_version = (1..=VERSION_BYTES_MAX).contains(&served.len()) && !served.contains(char::is_control);
        let is_other = is_version && !self.version().is_empty() && served != self.version();
        is_other.then(|| Sign { served_version: Some(served.to_owned()), ..self.sunset_sign(reason) })
    }

    fn sunset_sign(&self, reason: SunsetReason) -> Sign {
        let version = self.version().to_owned();
        Sign { reason, version, served_version: None, ends_at: None, deprecated_at: None, link: None }
    }
}

/// `Deprecation: @1688169599` (RFC 9745 section 2.1), or what its drafts had: an HTTP date, or `true`. `Some(None)`: deprecated, since no
/// moment that is named.
fn deprecation(text: &str) -> Option<Option<DateTime<Utc>>> {
    // Parameters of the structured field say nothing that we need.
    let item = text.trim().split_once(';').map_or(text, |(item, _)| item).trim();
    if let Some(seconds) = item.strip_prefix('@') {
        return DateTime::from_timestamp(seconds.parse().ok()?, 0).filter(is_sensible).map(Some);
    }
    if item.eq_ignore_ascii_case("true") || item == "?1" { Some(None) } else { date(item).map(Some) }
}

/// An HTTP date in any of its three forms (RFC 9110 section 5.6.7), or what some vendors write in its place: ISO 8601.
fn date(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim().trim_matches('"');
    let imf = || Some(DateTime::parse_from_rfc2822(text).ok()?.to_utc());
    let form = |form: &str| Some(NaiveDateTime::parse_from_str(text, form).ok()?.and_utc());
    let iso = || Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc());
    let day = || Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc());
    imf()
        .or_else(|| form("%A, %d-%b-%y %H:%M:%S GMT"))
        .or_else(|| form("%a %b %e %H:%M:%S %Y"))
        .or_else(iso)
        .or_else(day)
        .filter(is_sensible)
}

/// A moment that a database can keep and a person can mean.
fn is_sensible(at: &DateTime<Utc>) -> bool {
    const YEARS: std::ops::RangeInclusive<i32> = 1990..=2200;
    YEARS.contains(&chrono::Datelike::year(at))
}

fn documentation(answer: &HttpAnswer) -> Option<String> {
    let headers = || answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("link"));
    let found = RELATIONS.iter().find_map(|relation| headers().find_map(|(_, header)| link(header, relation)))?;
    // People follow it, so it is an address of the web and nothing else.
    let is_web = found.starts_with("https://") || found.starts_with("http://");
    (is_web && found.len() <= LINK_BYTES_MAX && !found.contains(char::is_control)).then(|| found.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn connector(rest: &str) -> Connector {
        let yaml = format!("{{format: 1, name: x, title: X, category: erp, base_url: 'https://x.example', {rest}}}");
        Connector::from_files("x", HashMap::from([("connector.yaml".to_owned(), yaml)])).unwrap()
    }

    fn pinned() -> Connector {
        connector(
            "versions: [{id: '2026-10', sunset: 2027-10-01, current: true}, {id: '2026-07', sunset: 2027-07-01}], version_echo: {header: [X-Version]}",
        )
    }

    fn answer(headers: &[(&str, &str)], body: &str) -> HttpAnswer {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        HttpAnswer { status: 200, headers, body: Bytes::from(body.to_owned()) }
    }

    fn at(text: &str) -> Option<DateTime<Utc>> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn an_answer_that_announces_nothing_gives_no_sign() {
        let said = [
            ("Date", "Fri, 27 Nov 2026 12:00:00 GMT"),
            ("X-Version", "2026-10"),
            ("Link", "<https://x.example/?page=2>; rel=\"next\""),
        ];
        assert_eq!(pinned().sunset_signs(&answer(&said, "{}")), []);
        // The policy is linked from every answer of some vendors.
        assert_eq!(pinned().sunset_signs(&answer(&[("Link", "<https://x.example/policy>; rel=\"sunset\"")], "{}")), []);
    }

    #[test]
    fn the_sunset_header_names_the_day_and_the_link_says_more() {
        let said = [
            ("deprecation", "@1793491200"),
            ("Sunset", "Sat, 27 Mar 2027 00:00:00 GMT"),
            (
                "Link",
                "<https://x.example/a?b=1,2>; rel=\"successor-version\", <https://x.example/why>; rel=\"deprecation\"; type=\"text/html\"",
            ),
        ];
        let signs = pinned().sunset_signs(&answer(&said, ""));
        assert_eq!(
            signs,
            [Sign {
                reason: SunsetReason::AnnouncedByHeader,
                version: "2026-10".into(),
                served_version: None,
                ends_at: at("2027-03-27T00:00:00Z"),
                deprecated_at: at("2026-11-01T00:00:00Z"),
                link: Some("https://x.example/why".into()),
            }]
        );
        let script = [("Sunset", "Sat, 27 Mar 2027 00:00:00 GMT"), ("Link", "<javascript:alert(1)>; rel=\"sunset\"")];
        assert_eq!(pinned().sunset_signs(&answer(&script, ""))[0].link, None);
    }

    #[test]
    fn deprecation_is_read_as_the_rfc_and_as_its_drafts_had_it() {
        for (text, expected) in [
            ("@1793491200", Some(at("2026-11-01T00:00:00Z"))),
            (" @1793491200; a=1", Some(at("2026-11-01T00:00:00Z"))),
            ("Sun, 01 Nov 2026 00:00:00 GMT", Some(at("2026-11-01T00:00:00Z"))),
            ("true", Some(None)),
            ("?1", Some(None)),
            ("false", None),
            ("?0", None),
            ("@soon", None),
            ("@99999999999999999999", None),
            ("", None),
        ] {
            let signs = pinned().sunset_signs(&answer(&[("Deprecation", text)], ""));
            assert_eq!(signs.first().map(|sign| sign.deprecated_at), expected, "{text}");
            assert!(signs.iter().all(|sign| sign.reason == SunsetReason::Deprecated && sign.ends_at.is_none()), "{text}");
        }
    }

    #[test]
    fn a_sunset_is_read_in_every_form_of_a_date() {
        for text in [
            "Sat, 27 Mar 2027 00:00:00 GMT",
            "Saturday, 27-Mar-27 00:00:00 GMT",
            "Sat Mar 27 00:00:00 2027",
            "2027-03-27T00:00:00Z",
            "2027-03-27T02:00:00+02:00",
            "2027-03-27",
            "\"2027-03-27\"",
        ] {
            assert_eq!(date(text), at("2027-03-27T00:00:00Z"), "{text}");
        }
        for text in ["", "soon", "Sat, 27 Mar 9999 00:00:00 GMT", "0000-01-01", "27.03.2027"] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn an_answer_of_another_version_is_a_silent_fall_forward() {
        let signs = pinned().sunset_signs(&answer(&[("x-version", "2027-01")], ""));
        assert_eq!((signs.len(), signs[0].reason), (1, SunsetReason::EchoedOtherVersion));
        assert_eq!((signs[0].version.as_str(), signs[0].served_version.as_deref()), ("2026-10", Some("2027-01")));
        // Both at once are two: the end of what is called, and that it came already.
        let both = [("Sunset", "2027-03-27"), ("X-Version", "2027-01")];
        assert_eq!(pinned().sunset_signs(&answer(&both, "")).len(), 2);
        for nothing in ["", "  ", "2026-10 ", &"x".repeat(VERSION_BYTES_MAX + 1)] {
            assert_eq!(pinned().sunset_signs(&answer(&[("X-Version", nothing)], "")), [], "{nothing}");
        }
        let in_body = connector("versions: [{id: '1', current: true}], version_echo: {path: meta.api_version}");
        let served = |body: &str| in_body.sunset_signs(&answer(&[], body)).pop().and_then(|sign| sign.served_version);
        assert_eq!(served(r#"{"meta": {"api_version": 2}}"#).as_deref(), Some("2"));
        assert_eq!((served(r#"{"meta": {"api_version": "1"}}"#), served("{}"), served("<html>")), (None, None, None));
    }

    #[test]
    fn a_webhook_of_another_version_is_a_sign_of_its_own() {
        assert_eq!(pinned().sunset_of_hook("2026-10"), None);
        let sign = pinned().sunset_of_hook("2026-07").unwrap();
        assert_eq!((sign.reason, sign.served_version.as_deref()), (SunsetReason::SentOtherVersion, Some("2026-07")));
        assert_eq!(connector("versions: []").sunset_of_hook("2026-07"), None);
    }

    #[test]
    fn the_connectors_own_date_is_that_of_the_version_it_calls() {
        let sign = pinned().sunset_by_date().unwrap();
        assert_eq!(
            (sign.reason, sign.version.as_str(), sign.ends_at),
            (SunsetReason::ConnectorsDate, "2026-10", at("2027-10-01T00:00:00Z"))
        );
        assert_eq!(connector("versions: [{id: '2', current: true}, {id: '1', sunset: 2027-10-01}]").sunset_by_date(), None);
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(deprecation in ".{0,60}|@-?[0-9]{0,25}", sunset in ".{0,60}|[A-Za-z, ]{0,8}[0-9-]{0,12} [0-9: ]{0,12}(GMT)?", link in "[<>;,=\" a-z:/]{0,80}") {
            let said = [("Deprecation", deprecation.as_str()), ("Sunset", &sunset), ("Link", &link), ("X-Version", &sunset)];
            for sign in pinned().sunset_signs(&answer(&said, "")) {
                prop_assert!(sign.link.is_none_or(|link| link.starts_with("http")));
            }
        }
    }
}
