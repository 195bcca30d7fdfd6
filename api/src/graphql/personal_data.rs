//! The erasing of a person's data, as an owner asks for it.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use domain::id::RecordId;
use domain::permission::Permission;
use domain::search_key::{KeyKind, SearchKey, normalised};
use infra::postgres::personal_data::{Erased, Erasure, RECORDS_MAX, Whom};

use super::error::{UserError, UserErrorCode, WHY_CHARS_MAX, said, scope, state, within};
use super::page::{LARGE_COST, id, uuid};

/// Whose data is erased: either some records, or an address of mail.
#[derive(InputObject)]
struct PersonalDataEraseInput {
    /// These records and no others; at most 500.
    record_ids: Option<Vec<ID>>,
    /// All records that are known by this address, and the shipments, invoices, returns, payments and refunds of the orders among them.
    email: Option<String>,
    /// Why: a request's number, not a name. It stands in the audit log; 1 to 500 characters.
    reason: String,
    /// Says what would be erased, and erases nothing.
    #[graphql(default = false)]
    dry_run: bool,
}

/// What was erased in one place.
#[derive(SimpleObject)]
struct PersonalDataErasedPlace {
    /// A table of the database: `record_revisions`, `messages`, `attempts` …
    place: String,
    rows: i64,
}

#[derive(SimpleObject, Default)]
struct PersonalDataErasePayload {
    /// The records of which something was erased, or would be; at most 500.
    record_ids: Vec<ID>,
    /// There are more of that address: ask again until there are none.
    has_more: bool,
    /// How much of what, at most twelve.
    places: Vec<PersonalDataErasedPlace>,
    user_errors: Vec<UserError>,
}

impl PersonalDataErasePayload {
    fn refused(field: &str, code: UserErrorCode, message: impl Into<String>) -> Self {
        Self { user_errors: vec![UserError::new(field, code, message)], ..Self::default() }
    }
}

impl From<Erased> for PersonalDataErasePayload {
    fn from(erased: Erased) -> Self {
        Self {
            record_ids: erased.records.into_iter().map(|record| id::<RecordId>(record.0)).collect(),
            has_more: erased.has_more,
            places: erased.places.into_iter().map(|(place, rows)| PersonalDataErasedPlace { place, rows }).collect(),
            user_errors: vec![],
        }
    }
}

#[derive(Default)]
pub struct PersonalDataMutation;

#[Object]
impl PersonalDataMutation {
    /// Erases what tells of a person: the documents of their records in all revisions, the messages those came with, what was sent of them and answered, corrections,
    /// exceptions about them. In the place of each stands the digest of what was there, so the audit log, its seals and every proof hold. What is still to be sent of
    /// them becomes an exception that says so. It cannot be undone. BLOCKED while the tenant's audit log is under a legal hold, and while something of these records is
    /// under way. Not erased is what a partner or vendor has: ask them, too.
    #[graphql(complexity = "LARGE_COST")]
    async fn personal_data_erase(&self, ctx: &Context<'_>, input: PersonalDataEraseInput) -> Result<PersonalDataErasePayload> {
        scope(ctx, Permission::ManageOwners)?;
        let refuse = |field, code, message: String| Ok(PersonalDataErasePayload::refused(field, code, message));
        let reason = match said("input.reason", &input.reason, WHY_CHARS_MAX) {
            Ok(reason) => reason,
            Err(error) => {
                return Ok(PersonalDataErasePayload { user_errors: vec![error], ..PersonalDataErasePayload::default() });
            }
        };
        let whom = match (input.record_ids, input.email) {
            (Some(ids), None) if ids.len() > RECORDS_MAX => {
                return refuse("input.recordIds", UserErrorCode::TooMany, format!("at most {RECORDS_MAX} at once"));
            }
            (Some(ids), None) => Whom::Records(ids.iter().filter_map(|id| uuid::<RecordId>(id).map(RecordId)).collect()),
            (None, Some(address)) => match normalised(KeyKind::Email, &address).filter(|text| text.contains('@')) {
                Some(text) => Whom::Email(SearchKey { kind: KeyKind::Email, text }),
                None => return refuse("input.email", UserErrorCode::Invalid, "this is no address of mail".to_owned()),
            },
            _ => {
                let message = "say whose: either recordIds or email".to_owned();
                return refuse("input", UserErrorCode::Required, message);
            }
        };
        let (vault, is_meant) = (&state(ctx).vault, !input.dry_run);
        let erase =
            async |store: infra::postgres::TenantStore<'_>| store.personal_data_erase(vault, &whom, reason, is_meant).await;
        match within(ctx, Permission::ManageOwners, erase).await? {
            Erasure::Done(erased) if erased.records.is_empty() => refuse(
                "input",
                UserErrorCode::NotFound,
                "nothing is known of that person here, or it is erased already".to_owned(),
            ),
            Erasure::Done(erased) => Ok(erased.into()),
            Erasure::Held(why) => refuse(
                "input",
                UserErrorCode::Blocked,
                format!("nothing is erased while a legal hold stands: {why}. An owner or admin ends it with auditPolicySet."),
            ),
            Erasure::UnderWay(count) => refuse(
                "input",
                UserErrorCode::Blocked,
                format!("{count} calls or messages of these records are under way; ask again in a minute"),
            ),
        }
    }
}
