//! What people do about exceptions: one, some, or all of a cause with one act.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::exception_group::{COMMENT_CHARS_MAX, TAGS_MAX, snooze_end, tag};
use domain::id::{ExceptionId, UserId};
use domain::scope::Permission;
use infra::postgres::exception::act::{Act, Acted};
use infra::postgres::exception::reopen::Reopened;
use infra::postgres::exception::retry::{Ended, Nudges, Selection, Versions};

use super::cause_key::cause_named;
use crate::graphql::error::{UserError, UserErrorCode, WHY_CHARS_MAX, said, state, within};
use crate::graphql::page::uuid;

/// Ids of one act; a cause has room for more.
const IDS_MAX: usize = 1_000;

/// Which exceptions an act is about. What is decided about a cause holds for exceptions that join it later too.
#[derive(InputObject)]
pub struct ExceptionSelectionInput {
    /// At most 1,000.
    #[graphql(default)]
    pub ids: Vec<ID>,
    /// All open exceptions of this cause, and for `exceptionReopen` all that were ignored; acts that end or reopen them take 10,000 at once.
    pub cause_key: Option<String>,
}

/// With which version of its flow a delivery is tried again. Lookup tables are always those of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Enum)]
#[graphql(remote = "Versions")]
pub enum ExceptionRetryVersions {
    /// The one that is published now.
    #[default]
    Current,
    /// The one that it was planned with.
    Same,
}

#[derive(SimpleObject, Default)]
pub struct ExceptionPayload {
    /// How many exceptions it was about.
    pub count: i32,
    /// When they were closed: what `exceptionReopen` takes to be about these alone. Null where the act closes none, or says only how many.
    pub ended_at: Option<DateTime<Utc>>,
    /// More of the cause are open than one act takes: do it again.
    pub has_more: bool,
    pub user_errors: Vec<UserError>,
}

impl ExceptionPayload {
    pub fn refused(error: UserError) -> Self {
        Self { user_errors: vec![error], ..Self::default() }
    }
}

impl From<&Ended> for ExceptionPayload {
    fn from(ended: &Ended) -> Self {
        Self {
            count: i32::try_from(ended.ids.len()).unwrap_or(i32::MAX),
            ended_at: ended.at,
            has_more: ended.has_more,
            user_errors: vec![],
        }
    }
}

/// Exceptions that stay ignored, and why.
#[derive(SimpleObject)]
pub struct ExceptionStay {
    /// overtaken, deleted, erased, elsewhere or open.
    code: String,
    count: i32,
    /// Why, and what to do instead.
    why: String,
}

#[derive(SimpleObject, Default)]
pub struct ExceptionReopenPayload {
    /// How many are open again.
    count: i32,
    /// More of them can be opened again than one act takes: do it again.
    has_more: bool,
    /// Those that cannot be open again, one line for each reason.
    stay: Vec<ExceptionStay>,
    user_errors: Vec<UserError>,
}

impl From<&Reopened> for ExceptionReopenPayload {
    fn from(reopened: &Reopened) -> Self {
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let stay = reopened.stays.iter().map(|(stays, count)| ExceptionStay {
            code: stays.as_str().to_owned(),
            count: number(*count),
            why: stays.sentence().to_owned(),
        });
        Self { count: number(reopened.ids.len()), has_more: reopened.has_more, stay: stay.collect(), user_errors: vec![] }
    }
}

#[derive(Default)]
pub struct ExceptionMutation;

#[Object]
impl ExceptionMutation {
    /// Tries again, at most 10,000 at once: the exceptions close, and their deliveries are sent with what the mapping and the lookup tables
    /// say now. Of thousands the first 500 of a destination go at once and then 100 a second, within the destination's limit.
    async fn exception_retry(
        &self,
        ctx: &Context<'_>,
        input: ExceptionSelectionInput,
        versions: Option<ExceptionRetryVersions>,
    ) -> Result<ExceptionPayload> {
        let selection = match select(ctx, &input) {
            Ok(selection) => selection,
            Err(error) => return Ok(ExceptionPayload::refused(error)),
        };
        let versions = versions.unwrap_or_default().into();
        let ended =
            within(ctx, Permission::WorkExceptions, async |store| store.exceptions_retry(&selection, versions).await).await?;
        nudge(ctx, &ended.nudges).await;
        Ok((&ended).into())
    }

    /// Decides that these will not be sent, with a reason of 1 to 500 characters that the audit log keeps; at most 10,000 at once.
    /// `exceptionReopen` takes it back.
    async fn exception_ignore(
        &self,
        ctx: &Context<'_>,
        input: ExceptionSelectionInput,
        reason: String,
    ) -> Result<ExceptionPayload> {
        let reason = match said("reason", &reason, WHY_CHARS_MAX) {
            Ok(reason) => reason,
            Err(error) => return Ok(ExceptionPayload::refused(error)),
        };
        let selection = match select(ctx, &input) {
            Ok(selection) => selection,
            Err(error) => return Ok(ExceptionPayload::refused(error)),
        };
        let ended =
            within(ctx, Permission::WorkExceptions, async |store| store.exceptions_ignore(&selection, reason).await).await?;
        Ok((&ended).into())
    }

    /// Takes back that these were ignored, at most 10,000 at once: they are open again, and their deliveries wait for a person as before. Nothing
    /// is sent before somebody retries them. With `endedAt` only those of the act that answered it. What a later version of the record has
    /// taken the place of stays ignored, as does what cannot be sent any more: `stay` says how many and why.
    async fn exception_reopen(
        &self,
        ctx: &Context<'_>,
        input: ExceptionSelectionInput,
        ended_at: Option<DateTime<Utc>>,
    ) -> Result<ExceptionReopenPayload> {
        let selection = match select(ctx, &input) {
            Ok(selection) => selection,
            Err(error) => return Ok(ExceptionReopenPayload { user_errors: vec![error], ..ExceptionReopenPayload::default() }),
        };
        let reopened =
            within(ctx, Permission::WorkExceptions, async |store| store.exceptions_reopen(&selection, ended_at).await).await?;
        Ok((&reopened).into())
    }

    /// Gives them to a member of the tenant; to nobody where no one is named.
    async fn exception_assign(
        &self,
        ctx: &Context<'_>,
        input: ExceptionSelectionInput,
        user_id: Option<ID>,
    ) -> Result<ExceptionPayload> {
        let user = match user_id.as_ref().map(|id| uuid::<UserId>(id).map(UserId).ok_or_else(no_member)).transpose() {
            Ok(user) => user,
            Err(error) => return Ok(ExceptionPayload::refused(error)),
        };
        act(ctx, &input, &Act::Assign(user)).await
    }

    /// Adds and takes away tags: words of 1 to 40 characters, at most 20 for one thing.
    async fn exception_tag(
        &self,
        ctx: &Context<'_>,
        input: ExceptionSelectionInput,
        #[graphql(default)] add: Vec<String>,
        #[graphql(default)] remove: Vec<String>,
    ) -> Result<ExceptionPayload> {
        if add.is_empty() && remove.is_empty() || add.len().max(remove.len()) > TAGS_MAX {
            let what = format!("say which tags to add or remove, at most {TAGS_MAX} each");
            return Ok(ExceptionPayload::refused(UserError::new("add", UserErrorCode::Required, what)));
        }
        let tags = |field, tags: &[String]| {
            let tags: Result<Vec<String>, String> = tags.iter().map(|text| tag(text)).collect();
            tags.map_err(|what| UserError::new(field, UserErrorCode::Invalid, what))
        };
        match (tags("add", &add), tags("remove", &remove)) {
            (Ok(add), Ok(remove)) => act(ctx, &input, &Act::Tag { add, remove }).await,
            (Err(error), _) | (_, Err(error)) => Ok(ExceptionPayload::refused(error)),
        }
    }

    /// Puts them away until then, at most 90 days; a group also only until it has more open exceptions than `above`. Without a time they are
    /// shown again at once.
    async fn exception_snooze(
        &self,
        ctx: &Context<'_>,
        input: ExceptionSelectionInput,
        until: Option<DateTime<Utc>>,
        above: Option<i32>,
    ) -> Result<ExceptionPayload> {
        let Some(until) = until else { return act(ctx, &input, &Act::Wake).await };
        if above.is_some_and(|above| above < 0) {
            let error = UserError::new("above", UserErrorCode::Invalid, "a group cannot have less than no exceptions");
            return Ok(ExceptionPayload::refused(error));
        }
        match snooze_end(until, Utc::now()) {
            Ok(until) => act(ctx, &input, &Act::Snooze { until, above }).await,
            Err(what) => Ok(ExceptionPayload::refused(UserError::new("until", UserErrorCode::Invalid, what))),
        }
    }

    /// Says something about them: 1 to 4,000 characters, which stay.
    async fn exception_comment(
        &self,
        ctx: &Context<'_>,
        input: ExceptionSelectionInput,
        text: String,
    ) -> Result<ExceptionPayload> {
        let text = text.trim();
        if !(1..=COMMENT_CHARS_MAX).contains(&text.chars().count()) {
            let what = format!("a comment has 1 to {COMMENT_CHARS_MAX} characters");
            return Ok(ExceptionPayload::refused(UserError::new("text", UserErrorCode::Required, what)));
        }
        act(ctx, &input, &Act::Comment(text.to_owned())).await
    }
}

async fn act(ctx: &Context<'_>, input: &ExceptionSelectionInput, act: &Act) -> Result<ExceptionPayload> {
    let selection = match select(ctx, input) {
        Ok(selection) => selection,
        Err(error) => return Ok(ExceptionPayload::refused(error)),
    };
    let acted = within(ctx, Permission::WorkExceptions, async |store| store.exceptions_act(&selection, act).await).await?;
    Ok(match acted {
        Acted::Done(count) => ExceptionPayload { count: i32::try_from(count).unwrap_or(i32::MAX), ..ExceptionPayload::default() },
        Acted::NoMember => ExceptionPayload::refused(no_member()),
        Acted::TooManyTags => {
            let what = format!("one of them would have more than {TAGS_MAX} tags; take some away first");
            ExceptionPayload::refused(UserError::new("add", UserErrorCode::TooMany, what))
        }
    })
}

fn no_member() -> UserError {
    UserError::new("userId", UserErrorCode::NotFound, "nobody of that id is a member of this tenant; `members` lists them")
}

/// Tells the workers of what may go on; what they are not told the sweeper brings.
pub async fn nudge(ctx: &Context<'_>, nudges: &Nudges) {
    state(ctx).broker.nudge_stages(nudges).await;
}

pub fn select(ctx: &Context<'_>, input: &ExceptionSelectionInput) -> Result<Selection, UserError> {
    if input.ids.len() > IDS_MAX {
        return Err(UserError::new(
            "ids",
            UserErrorCode::TooMany,
            format!("at most {IDS_MAX} at once; a causeKey takes all of a group"),
        ));
    }
    if input.ids.is_empty() && input.cause_key.is_none() {
        return Err(UserError::new("ids", UserErrorCode::Required, "say which exceptions: ids or a causeKey"));
    }
    // An id of nothing selects nothing.
    let cause_key = input.cause_key.as_deref().map(|key| cause_named(ctx, key));
    Ok(Selection { ids: input.ids.iter().filter_map(uuid::<ExceptionId>).collect(), cause_key })
}
