//! What the process tells of itself: one line a happening, as text for people or as JSON for machines.

use tracing_subscriber::EnvFilter;

/// Starts logging. `RUST_LOG` filters; `json` writes one JSON object a line.
pub fn start(json: bool) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,lapin=warn,sqlx=warn,sea_orm=warn,actix_server=warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    if json {
        builder.json().init();
    } else {
        builder.compact().init();
    }
}
