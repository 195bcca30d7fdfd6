//! What is told while somebody looks.

use std::time::Duration;

use async_graphql::{Context, Result, SimpleObject, Subscription};
use chrono::{DateTime, Utc};
use domain::permission::Permission;
use futures::{Stream, stream};
use tokio::time::Instant;

use super::error::{Code, fail, scope, state};

/// After so long the stream ends, and whoever still looks asks anew: so whoever was signed out, or is no member any more, learns nothing for longer.
const LASTS: Duration = Duration::from_secs(60);

/// Something in the tenant is another than before.
#[derive(SimpleObject)]
pub struct Change {
    /// When it was seen.
    at: DateTime<Utc>,
}

#[derive(Default)]
pub struct ChangeSubscription;

#[Subscription]
impl ChangeSubscription {
    /// Tells at most once a second that something in the tenant changed, and once when it begins: ask for what you show again. It ends after a minute;
    /// subscribe anew. It is a hint: whoever must miss nothing reads `auditEvents`, or asks again by themselves.
    async fn changes(&self, ctx: &Context<'_>) -> Result<impl Stream<Item = Change> + use<>> {
        let tenant = scope(ctx, Permission::ReadOperations)?.tenant;
        let watch = state(ctx).changes.watch(tenant);
        let no_room =
            || fail(Code::RateLimited, "there is no room for one more subscription; ask again every few seconds instead");
        let watch = watch.ok_or_else(no_room)?;
        let end = Instant::now() + LASTS;
        Ok(stream::unfold(watch, move |mut watch| async move {
            let changed = tokio::time::timeout_at(end, watch.changed()).await;
            (changed == Ok(true)).then(|| (Change { at: Utc::now() }, watch))
        }))
    }
}
