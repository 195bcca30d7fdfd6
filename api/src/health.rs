//! For whoever watches the process: alive, and ready for work.

use actix_web::{HttpResponse, web};

use crate::AppState;

pub fn routes(config: &mut web::ServiceConfig) {
    config.route("/healthz", web::get().to(alive)).route("/readyz", web::get().to(ready));
}

async fn alive() -> &'static str {
    "alive\n"
}

/// Ready is who can keep a promise: without Postgres nothing can be accepted. Without the broker tasks wait in Postgres.
async fn ready(state: web::Data<AppState>) -> HttpResponse {
    let (database, broker) = (state.store.is_alive().await, state.broker.is_alive().await);
    let body = serde_json::json!({"database": database, "broker": broker});
    if database { HttpResponse::Ok().json(body) } else { HttpResponse::ServiceUnavailable().json(body) }
}
