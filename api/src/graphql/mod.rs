//! The GraphQL API. One file for each noun: type, query, mutation. Limits are set here, because by default there are none.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, guard, web};
use async_graphql::http::GraphiQLSource;
use async_graphql::{EmptySubscription, MergedObject, Schema, SchemaBuilder};
use async_graphql_actix_web::{GraphQLRequest, GraphQLResponse};
use tracing::warn;

use crate::AppState;
use crate::auth::viewer;

mod audit;
mod connection;
mod delivery;
mod error;
mod exception;
mod flow;
mod lookup_table;
mod message;
mod node;
mod page;
mod record;
mod session;
mod tenant;

pub use error::{Code, UserError, UserErrorCode};

/// Nesting of a query; the deepest that the web app needs is eight.
const DEPTH_MAX: usize = 12;
/// Fields, counted with the sizes of the lists they are in.
const COMPLEXITY_MAX: usize = 5_000;
const DIRECTIVES_MAX: usize = 20;
const RECURSION_MAX: usize = 24;
const QUERY_BYTES_MAX: usize = 1024 * 1024;

#[derive(MergedObject, Default)]
pub struct Query(
    audit::AuditQuery,
    connection::ConnectionQuery,
    delivery::DeliveryQuery,
    exception::ExceptionQuery,
    flow::FlowQuery,
    lookup_table::LookupTableQuery,
    message::MessageQuery,
    node::NodeQuery,
    record::RecordQuery,
    session::SessionQuery,
    tenant::TenantQuery,
);

#[derive(MergedObject, Default)]
pub struct Mutation(
    connection::ConnectionMutation,
    exception::ExceptionMutation,
    flow::FlowMutation,
    lookup_table::LookupTableMutation,
    session::SessionMutation,
    tenant::TenantMutation,
);

pub type CrossdockSchema = Schema<Query, Mutation, EmptySubscription>;

fn builder() -> SchemaBuilder<Query, Mutation, EmptySubscription> {
    Schema::build(Query::default(), Mutation::default(), EmptySubscription)
        .limit_depth(DEPTH_MAX)
        .limit_complexity(COMPLEXITY_MAX)
        .limit_directives(DIRECTIVES_MAX)
        .limit_recursive_depth(RECURSION_MAX)
}

#[must_use]
pub fn schema(state: &AppState) -> CrossdockSchema {
    let builder = builder().data(state.clone());
    // A map of everything helps a developer, and whoever looks for a way in.
    if state.is_development { builder.finish() } else { builder.disable_introspection().disable_suggestions().finish() }
}

/// The contract, as `api/schema.graphql` has it.
#[must_use]
pub fn sdl() -> String {
    let options = async_graphql::SDLExportOptions::new().sorted_fields().sorted_arguments().sorted_enum_items();
    builder().finish().sdl_with_options(options)
}

pub fn routes(config: &mut web::ServiceConfig) {
    // A form on another page can make a browser post text, but not JSON: that needs this page's consent (CORS, which we never give).
    let json = guard::fn_guard(|request| {
        let kind = request.head().headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        kind.is_some_and(|kind| kind.starts_with("application/json"))
    });
    config.service(
        web::resource("/graphql")
            .app_data(web::PayloadConfig::new(QUERY_BYTES_MAX))
            .route(web::post().guard(json).to(execute))
            .route(web::get().to(graphiql)),
    );
}

async fn execute(
    schema: web::Data<CrossdockSchema>,
    state: web::Data<AppState>,
    request: HttpRequest,
    query: GraphQLRequest,
) -> Result<GraphQLResponse, actix_web::Error> {
    let viewer = viewer(&state, &request).await.map_err(|error| {
        warn!(%error, "A request could not be authenticated");
        actix_web::error::ErrorServiceUnavailable("the database does not answer; try again")
    })?;
    let mut query = query.into_inner();
    if let Some(viewer) = viewer {
        query = query.data::<Arc<crate::auth::Viewer>>(viewer);
    }
    Ok(schema.execute(query).await.into())
}

async fn graphiql(state: web::Data<AppState>) -> HttpResponse {
    if !state.is_development {
        return HttpResponse::NotFound().finish();
    }
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(GraphiQLSource::build().endpoint("/graphql").finish())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_sdl_is_fresh() {
        let committed = include_str!("../../schema.graphql");
        assert!(
            committed == super::sdl(),
            "api/schema.graphql is out of date: run `cargo run -p crossdock -- schema > api/schema.graphql`"
        );
    }

    #[tokio::test]
    async fn a_query_too_deep_or_too_wide_is_refused_before_it_runs() {
        let schema = super::builder().finish();
        let deep =
            format!("{{ deliveries {{ nodes {{ {} id {} }} }} }}", "record { deliveries { nodes { ".repeat(6), "} } }".repeat(6));
        let wide = format!(
            "{{ {} }}",
            (0..200).map(|n| format!("a{n}: deliveries(first: 100) {{ nodes {{ id state }} }} ")).collect::<String>()
        );
        for query in [deep, wide] {
            let errors = schema.execute(query).await.errors;
            assert!(errors.iter().any(|e| e.message.contains("too") || e.message.contains("nested")), "{errors:?}");
        }
    }
}
