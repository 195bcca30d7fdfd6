//! No-loss certificates: a signed statement of what became of everything that arrived in a time, or of one record.

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Duration, Utc};
use domain::certificate::{LEAVES_MAX, Of};
use domain::id::RecordId;
use domain::scope::Permission;
use infra::postgres::entity::record;

use super::error::{UserError, UserErrorCode, scope, state, within};
use super::page::{LARGE_COST, uuid};

/// The longest time that one certificate is about.
const PERIOD_MAX: Duration = Duration::days(31);

#[derive(SimpleObject)]
struct CertificatePayload {
    /// The certificate as a JSON document: keep it as a file, and check it with `crossdock audit verify FILE`.
    certificate: Option<String>,
    /// Everything that it is about has settled, or waits for a person who is named by an open exception.
    nothing_lost: Option<bool>,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct CertificateQuery;

#[Object]
impl CertificateQuery {
    /// The public half of the key that signs this tenant's certificates, base64: what a certificate's key is compared with.
    async fn certificate_key(&self, ctx: &Context<'_>) -> Result<String> {
        let vault = &state(ctx).vault;
        let key = within(ctx, Permission::ReadAudit, async |store| store.certificate_key(vault).await).await?;
        Ok(STANDARD.encode(key))
    }
}

#[derive(Default)]
pub struct CertificateMutation;

#[Object]
impl CertificateMutation {
    /// Makes a signed certificate of all that arrived from `from` until before `until` (at most 31 days and 20,000 messages), or of one
    /// record. That it was made stands in the audit log.
    #[graphql(complexity = "LARGE_COST")]
    async fn certificate_make(
        &self,
        ctx: &Context<'_>,
        from: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
        record_id: Option<ID>,
    ) -> Result<CertificatePayload> {
        scope(ctx, Permission::ReadAudit)?;
        let of = match (from, until, &record_id) {
            (Some(from), Some(until), None) if from < until && until - from <= PERIOD_MAX => Of::Period { from, until },
            (Some(_), Some(_), None) => {
                return refuse("until", UserErrorCode::Invalid, "it ends after it begins, and at most 31 days later");
            }
            (None, None, Some(id)) => {
                let id = uuid::<RecordId>(id).unwrap_or_default();
                let found = within(ctx, Permission::ReadAudit, async |store| store.find::<record::Entity>(id).await);
                if found.await?.is_none() {
                    return refuse("recordId", UserErrorCode::NotFound, "there is no such record");
                }
                Of::Record(RecordId(id))
            }
            _ => return refuse("from", UserErrorCode::Required, "say either `from` and `until`, or `recordId`"),
        };
        let vault = &state(ctx).vault;
        match within(ctx, Permission::ReadAudit, async |store| store.certificate_make(vault, of).await).await? {
            Some(certificate) => Ok(CertificatePayload {
                certificate: Some(serde_json::to_string(&certificate).expect("a certificate is plain data")),
                nothing_lost: Some(certificate.statement.nothing_lost),
                user_errors: vec![],
            }),
            None => refuse(
                "until",
                UserErrorCode::TooMany,
                &format!("more than {LEAVES_MAX} messages arrived in this time; make one for each part of it"),
            ),
        }
    }
}

fn refuse(field: &str, code: UserErrorCode, what: &str) -> Result<CertificatePayload> {
    Ok(CertificatePayload { certificate: None, nothing_lost: None, user_errors: vec![UserError::new(field, code, what)] })
}
