//! A probe: whether an account answers to its credential, asked by a read that changes nothing and costs little. And when the credential ends, as far as
//! anybody can know.

use chrono::{DateTime, Duration, Utc};
use domain::fault::Fault;
use domain::http::{HttpAnswer, HttpRequest};
use domain::record::RecordKind;
use domain::secret::{ExposeSecret, SecretFields};
use domain::upkeep::{Ends, Upkeep};
use simple_asn1::ASN1Block;

use crate::connector::Connector;
use crate::der;
use crate::manifest::Auth;
use crate::request::{CallVars, RequestContext, RequestError};
use crate::response::parse;

/// Certificates of one chain that are looked at.
const CHAIN_MAX: usize = 10;

impl Connector {
    /// The request that the connector declares for it; `None` where it declares none.
    ///
    /// # Errors
    /// Where the connection lacks something that the request needs.
    pub fn probe_request(&self, context: &RequestContext<'_>) -> Result<Option<HttpRequest>, RequestError> {
        let probe = self.manifest.probe.as_ref();
        probe.map(|request| self.call(request, &CallVars::default(), context)).transpose()
    }

    /// Whether an answer to it says that the account is there.
    ///
    /// # Errors
    /// The classified fault.
    pub fn read_probe_answer(&self, answer: &HttpAnswer) -> Result<(), Fault> {
        // Vendors that answer 200 to everything say inside what is wrong.
        if self.is_failure(answer, parse(answer).as_ref()) { Err(self.classify(answer)) } else { Ok(()) }
    }

    /// The kind whose newest records are listed where no probe is declared.
    #[must_use]
    pub fn probe_kind(&self) -> Option<RecordKind> {
        self.kinds_read().find(|kind| self.resource(*kind).is_some_and(|resource| resource.read.is_some()))
    }

    /// When the first of these secrets ends: as whoever stores them says, as the connector knows of its vendor's, or as a certificate tells itself.
    #[must_use]
    pub fn credential_ends(&self, fields: &SecretFields, said: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<Ends> {
        let lifetimes = self.credential().iter().filter(|(name, _)| is_given(fields, name));
        let lifetimes = lifetimes.filter_map(|(_, field)| Some(now + Duration::days(i64::from(field.lifetime_days?))));
        let secret = said.into_iter().chain(lifetimes).min().map(|at| Ends { what: Upkeep::Secret, at });
        let certificate = match &self.manifest.auth {
            Auth::MutualTls(tls) => fields.get(&tls.certificate).and_then(|pem| certificate_ends(pem.expose_secret())),
            _ => None,
        };
        let certificate = certificate.map(|at| Ends { what: Upkeep::Certificate, at });
        [secret, certificate].into_iter().flatten().min_by_key(|ends| ends.at)
    }
}

fn is_given(fields: &SecretFields, name: &str) -> bool {
    fields.get(name).is_some_and(|secret| !secret.expose_secret().is_empty())
}

/// The end of the chain's certificate that ends first; `None` where it is none.
fn certificate_ends(chain: &str) -> Option<DateTime<Utc>> {
    let certificates = der::blocks(chain).filter(|block| block.label == "CERTIFICATE").take(CHAIN_MAX);
    let ends = certificates.filter_map(|certificate| not_after(&certificate.read()?));
    DateTime::from_timestamp(ends.min()?, 0)
}

/// Unix seconds: the second of the two times of a certificate's validity (RFC 5280 section 4.1).
fn not_after(certificate: &[ASN1Block]) -> Option<i64> {
    let [ASN1Block::Sequence(_, certificate), ..] = certificate else { return None };
    let [ASN1Block::Sequence(_, signed), ..] = certificate.as_slice() else { return None };
    // The first part that is a sequence of two times: what stands before it (version, number, algorithm, issuer) has none.
    signed.iter().find_map(|part| match part {
        ASN1Block::Sequence(_, times) => match times.as_slice() {
            [
                ASN1Block::UTCTime(..) | ASN1Block::GeneralizedTime(..),
                ASN1Block::UTCTime(_, end) | ASN1Block::GeneralizedTime(_, end),
            ] => Some(end.assume_utc().unix_timestamp()),
            _ => None,
        },
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `openssl req -x509 -newkey ed25519 -nodes -subj /CN=x -days 365`.
    const CERTIFICATE: &str = include_str!("testdata/certificate.pem");

    #[test]
    fn a_certificate_tells_when_it_ends_however_it_was_copied() {
        let end = CERTIFICATE_ENDS.parse::<DateTime<Utc>>().unwrap();
        assert_eq!(certificate_ends(CERTIFICATE), Some(end));
        assert_eq!(certificate_ends(&CERTIFICATE.trim().replace('\n', "\\n")), Some(end));
        for text in ["", "a key", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"] {
            assert_eq!(certificate_ends(text), None, "{text}");
        }
    }

    const CERTIFICATE_ENDS: &str = "2027-11-29T08:20:28Z";
}
