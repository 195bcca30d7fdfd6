//! Routes and state on one screen.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpServer, middleware, web};
use connectors::Catalog;
use infra::broker::Broker;
use infra::postgres::Store;
use infra::sunset::Sunsets;
use infra::vault::Vault;
use tokio::sync::watch;
use tracing::info;

use crate::auth::{SignIns, Tokens};
use crate::config::Config;
use crate::intake::Intake;
use crate::{graphql, health, intake};

/// What every handler may use.
#[derive(Clone)]
pub struct AppState {
    pub store: Store,
    pub vault: Vault,
    pub broker: Broker,
    pub catalog: &'static Catalog,
    pub sunsets: Sunsets,
    pub tokens: Arc<Tokens>,
    pub sign_ins: Arc<SignIns>,
    pub public_url: String,
    pub is_development: bool,
}

impl AppState {
    #[must_use]
    pub fn new(config: &Config, catalog: &'static Catalog, store: Store, vault: Vault, broker: Broker) -> Self {
        Self {
            store,
            vault,
            broker,
            catalog,
            sunsets: Sunsets::default(),
            tokens: Arc::new(Tokens::new(&config.jwt_key)),
            sign_ins: Arc::default(),
            public_url: config.public_url.clone(),
            is_development: config.is_development,
        }
    }
}

/// Serves until `stop` says so; requests under way are finished. `ready` learns the address.
///
/// # Errors
/// Where the address cannot be bound.
pub async fn serve(
    config: &Config,
    state: AppState,
    mut stop: watch::Receiver<bool>,
    ready: impl FnOnce(std::net::SocketAddr),
) -> std::io::Result<()> {
    const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
    let schema = graphql::schema(&state);
    let intake = Intake::start(state.clone());
    let (sunsets, store, stopped) = (state.sunsets.clone(), state.store.clone(), stop.clone());
    tokio::spawn(async move { sunsets.write(&store, stopped).await });
    let data = web::Data::new(state);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .app_data(web::Data::new(schema.clone()))
            .app_data(web::Data::from(intake.clone()))
            .wrap(
                middleware::DefaultHeaders::new()
                    .add(("X-Content-Type-Options", "nosniff"))
                    .add(("Referrer-Policy", "no-referrer")),
            )
            .configure(graphql::routes)
            .configure(intake::routes)
            .configure(health::routes)
    })
    .workers(2)
    .client_request_timeout(HEADER_TIMEOUT)
    .keep_alive(Duration::from_secs(30))
    .shutdown_timeout(20)
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
    server.await
}
