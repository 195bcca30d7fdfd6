//! Routes and state on one screen.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpServer, middleware, web};
use connectors::Catalog;
use infra::broker::Broker;
use infra::files::DropFolders;
use infra::limiter::Limiter;
use infra::outbound::{AllowList, Outbound, OutboundError};
use infra::postgres::Store;
use infra::sunset::Sunsets;
use infra::vault::Vault;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::auth::Tokens;
use crate::changes::Changes;
use crate::client_address::Proxies;
use crate::config::Config;
use crate::hook_refusal::HookRefusals;
use crate::intake::Intake;
use crate::mailing::Mailing;
use crate::passkey::Passkeys;
use crate::quota::{KnownTokens, Quotas};
use crate::sso::Sso;
use crate::web_app::{self, WebApp};
use crate::web_session::Cookie;
use crate::{audit, consent, graphql, health, intake, scim, sso, unread, web_session};

/// What every handler may use.
#[derive(Clone)]
pub struct AppState {
    pub store: Store,
    pub vault: Vault,
    pub broker: Broker,
    pub limiter: Limiter,
    pub catalog: &'static Catalog,
    pub sunsets: Sunsets,
    pub hook_refusals: HookRefusals,
    pub drop_folders: DropFolders,
    pub tokens: Arc<Tokens>,
    pub proxies: Arc<Proxies>,
    pub quotas: Quotas,
    pub known_tokens: Arc<KnownTokens>,
    pub changes: Changes,
    pub public_url: String,
    pub cookie: Cookie,
    pub mailing: Mailing,
    pub sso: Arc<Sso>,
    pub passkeys: Arc<Passkeys>,
    /// The one door out, for what a person waits for.
    pub outbound: Outbound,
    pub is_development: bool,
}

impl AppState {
    /// # Errors
    /// Where the client of HTTP cannot be made.
    pub fn new(
        config: &Config,
        catalog: &'static Catalog,
        store: Store,
        vault: Vault,
        broker: Broker,
        limiter: Limiter,
    ) -> Result<Self, OutboundError> {
        let mailing = Mailing::new(vault.clone(), config.mail.is_some(), &config.public_url);
        let outbound = Outbound::new(AllowList::parse(&config.outward.allow), config.outward.call_timeout)?;
        Ok(Self {
            store,
            vault,
            broker,
            limiter,
            catalog,
            sunsets: Sunsets::default(),
            hook_refusals: HookRefusals::default(),
            drop_folders: config.outward.drop_folders.clone(),
            tokens: Arc::new(Tokens::new(&config.jwt_key, config.jwt_key_also.as_ref())),
            proxies: Arc::new(config.proxies.clone()),
            quotas: config.quotas,
            known_tokens: Arc::default(),
            changes: Changes::default(),
            public_url: config.public_url.clone(),
            cookie: config.cookie,
            mailing,
            sso: Arc::new(Sso::new(outbound.clone())),
            outbound,
            passkeys: Arc::new(Passkeys::new(&config.public_url)),
            is_development: config.is_development,
        })
    }
}

/// Serves until `stop` says so; requests under way are finished. `ready` learns the address.
///
/// # Errors
/// Where the address cannot be bound, or the web app's folder is none.
pub async fn serve(
    config: &Config,
    state: AppState,
    mut stop: watch::Receiver<bool>,
    ready: impl FnOnce(std::net::SocketAddr),
) -> std::io::Result<()> {
    const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
    /// How long requests under way may take, and what is to be told after the last answer, s. Both together are less than the half minute that whoever stops
    /// processes leaves them as a rule.
    const SHUTDOWN_MAX_S: u64 = 15;
    const TELLING_MAX: Duration = Duration::from_secs(5);
    let web_app = web::Data::new(WebApp::load(config.web_dir.as_deref(), config.public_url.starts_with("https://"))?);
    let schema = graphql::schema(&state);
    let intake = Intake::start(state.clone());
    let (sunsets, store, stopped) = (state.sunsets.clone(), state.store.clone(), stop.clone());
    tokio::spawn(async move { sunsets.write(&store, stopped).await });
    let (changes, store, stopped) = (state.changes.clone(), state.store.clone(), stop.clone());
    tokio::spawn(async move { changes.run(store, stopped).await });
    let (refusals, store, stopped) = (state.hook_refusals.clone(), state.store.clone(), stop.clone());
    let telling = tokio::spawn(async move { refusals.write(&store, stopped).await });
    let (refusals, store) = (state.hook_refusals.clone(), state.store.clone());
    let data = web::Data::new(state);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .app_data(web::Data::new(schema.clone()))
            .app_data(web::Data::from(intake.clone()))
            .app_data(web_app.clone())
            .wrap(
                middleware::DefaultHeaders::new()
                    .add(("X-Content-Type-Options", "nosniff"))
                    .add(("Referrer-Policy", "no-referrer")),
            )
            .wrap(middleware::from_fn(unread::close))
            .configure(graphql::routes)
            .configure(audit::routes)
            .configure(web_session::routes)
            .configure(sso::routes)
            .configure(scim::routes)
            .configure(consent::routes)
            .configure(intake::routes)
            .configure(health::routes)
            .default_service(web::route().to(web_app::serve))
    })
    .workers(2)
    .client_request_timeout(HEADER_TIMEOUT)
    .client_disconnect_timeout(unread::LINGER)
    .keep_alive(Duration::from_secs(30))
    .shutdown_timeout(SHUTDOWN_MAX_S)
    .disable_signals()
    .bind(&config.listen)?;
    if let Some(address) = server.addrs().first() {
        info!(%address, "Listening");
        ready(*address);
    }
    let server = server.run();
    let handle = server.handle();
    tokio::spawn(async move {
        let _ = stop.wait_for(|stop| *stop).await;
        handle.stop(true).await;
    });
    let ended = server.await;
    // After the last answer. What is being told is told, and then the rest.
    let tell = async {
        let _ = telling.await;
        refusals.flush(&store).await;
    };
    if tokio::time::timeout(TELLING_MAX, tell).await.is_err() {
        warn!("What hooks were refused at last is not told to their tenants: the database did not answer");
    }
    ended
}
