//! Connecting an account by a person's consent at the vendor, and how that stands.

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use connectors::{Connector, OauthScope};
use domain::consent::ConsentEnd;
use domain::id::ConnectionId;
use domain::scope::Permission;
use infra::postgres::consent::Consent;

use super::error::{UserError, UserErrorCode, internal, scope, state, viewer, within};
use super::page::uuid;
use crate::consent::{self, DepartureError};

/// How a consent ended.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "ConsentEnd", name = "ConsentEnd")]
enum EndNode {
    /// All that the connector needs was granted.
    Given,
    /// The account is connected, and some of what the connector needs was not granted.
    ScopesMissing,
    /// The person said no.
    Denied,
    /// The vendor did not let the person consent, or took the code for nothing.
    VendorRefused,
    /// The vendor could not be asked for the tokens.
    VendorAway,
    /// The answer was not of the server that the person was sent to.
    NotBelieved,
    /// The person chose another account than the one that is connected.
    OtherAccount,
    /// The credential or the settings were changed while the person was away.
    Changed,
    /// The person was signed out meanwhile, or may not connect accounts any more.
    SignedOut,
    /// What the vendor sent back does not fit the connector's settings.
    Unfit,
    /// Something of ours failed.
    Internal,
}

/// What a vendor may let us do.
#[derive(SimpleObject)]
#[graphql(name = "ConsentScope")]
pub struct ScopeNode {
    /// As the vendor writes it.
    name: String,
    /// In words; the name where the connector has none.
    title: String,
}

impl From<OauthScope<'_>> for ScopeNode {
    fn from(scope: OauthScope<'_>) -> Self {
        Self { name: scope.name.to_owned(), title: scope.title.to_owned() }
    }
}

/// What a connector whose accounts are connected by a person's consent needs for that.
#[derive(SimpleObject)]
pub struct ConnectorConsent {
    /// What is registered at the vendor as the client's redirect address, to the letter.
    redirect_uri: String,
    /// What the person is asked to allow.
    scopes: Vec<ScopeNode>,
}

impl ConnectorConsent {
    /// `None` where the connector asks nobody.
    pub fn of(connector: &Connector, public_url: &str) -> Option<Self> {
        let redirect_uri = consent::redirect_uri(public_url, connector.name());
        connector.needs_consent().then(|| Self { redirect_uri, scopes: connector.scopes().map(ScopeNode::from).collect() })
    }
}

/// How a person's consent to a connection stands. No token is ever shown.
#[derive(SimpleObject)]
#[graphql(name = "ConnectionConsent")]
pub struct ConsentNode {
    /// False where nobody has consented yet, or the credential was replaced since: nothing can be called until somebody does.
    given: bool,
    given_at: Option<DateTime<Utc>>,
    /// What the connector needs now and was not granted, where the vendor says what was.
    missing_scopes: Vec<ScopeNode>,
    /// When a person must consent again. Null where it does not end or the vendor does not say.
    ends_at: Option<DateTime<Utc>>,
    /// The one that was asked for last.
    last: Option<LastConsentNode>,
}

/// A consent that was asked for.
#[derive(SimpleObject)]
#[graphql(name = "LastConsent")]
struct LastConsentNode {
    begun_at: DateTime<Utc>,
    /// Null where the person has not come back, or the way broke off.
    ended_at: Option<DateTime<Utc>>,
    end: Option<EndNode>,
    /// What happened, for people.
    sentence: Option<String>,
    next_step: Option<String>,
}

impl ConsentNode {
    fn new(consent: Consent, connector: &Connector) -> Self {
        let title = connector.title();
        let missing = consent.scope.as_deref().map(|granted| connector.missing_scopes(granted)).unwrap_or_default();
        let last = consent.last.map(|last| LastConsentNode {
            begun_at: last.begun_at,
            ended_at: last.ended_at,
            end: last.end.map(EndNode::from),
            sentence: last.end.map(|end| end.sentence(title, &last.said)),
            next_step: last.end.map(|end| end.next_step(title)),
        });
        Self {
            given: consent.is_given,
            given_at: consent.given_at,
            missing_scopes: missing.into_iter().map(ScopeNode::from).collect(),
            ends_at: consent.ends_at,
            last,
        }
    }

    /// `None` where the connector asks nobody for consent.
    pub async fn of(ctx: &Context<'_>, connection: ConnectionId, connector: &str) -> Result<Option<Self>> {
        let connector = state(ctx).catalog.get(connector).filter(|connector| connector.needs_consent());
        let Some(connector) = connector else { return Ok(None) };
        let consent = within(ctx, Permission::ReadOperations, async |store| store.consent(connection).await).await?;
        Ok(Some(Self::new(consent, connector)))
    }
}

#[derive(SimpleObject)]
struct ConsentBeginPayload {
    /// Where the person's browser goes now, within ten minutes: the one that asked, which was given a cookie with this answer.
    authorize_url: Option<String>,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct ConsentMutation;

#[Object]
impl ConsentMutation {
    /// Begins to connect an account, or to connect it again, by the consent of the person who asks: their browser is sent to the vendor and comes back to
    /// `/oauth/callback/…`, which ends it and shows the connection. Its flows stay as they are, and what was connected before stays connected until then.
    #[graphql(complexity = "50")]
    async fn connection_consent_begin(&self, ctx: &Context<'_>, id: ID) -> Result<ConsentBeginPayload> {
        let scope = scope(ctx, Permission::Configure)?;
        let who = viewer(ctx)?.person()?;
        let refuse = |code, message: String| {
            Ok(ConsentBeginPayload { authorize_url: None, user_errors: vec![UserError::new("id", code, message)] })
        };
        let Some(connection) = uuid::<ConnectionId>(&id).map(ConnectionId) else {
            return refuse(UserErrorCode::NotFound, DepartureError::NotFound.to_string());
        };
        match consent::begin(state(ctx), &scope, who, connection).await {
            Ok(departure) => {
                // True where there is another one already, which is as good.
                ctx.append_http_header("Set-Cookie", departure.cookie);
                Ok(ConsentBeginPayload { authorize_url: Some(departure.authorize_url), user_errors: vec![] })
            }
            Err(DepartureError::Store(cause)) => Err(internal(ctx, &cause)),
            Err(error) => {
                let code = match error {
                    DepartureError::NotFound => UserErrorCode::NotFound,
                    DepartureError::TooMany => UserErrorCode::TooMany,
                    DepartureError::NoConsent(_) => UserErrorCode::Invalid,
                    _ => UserErrorCode::Blocked,
                };
                refuse(code, error.to_string())
            }
        }
    }
}
