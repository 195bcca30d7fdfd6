//! Drift in Postgres: the profiles that workers flush, the notices, and what a tenant wants done about a field.

mod flush;
mod hold;
mod raise;
mod work;

use domain::drift::{Drift, Path, Profile, Side, What};
use domain::id::ConnectionId;
use domain::record::RecordKind;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

pub use flush::Flushed;
pub use hold::Held;
pub use work::{Accepted, DriftDetail, POLICIES_MAX, PerDay, PolicyRow, ProfileRow};

use super::StoreError;

/// The documents that a profile is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DriftPlace {
    pub connection: ConnectionId,
    pub kind: RecordKind,
    pub side: Side,
}

/// A drift as it is about to be raised.
#[derive(Debug)]
struct Finding {
    place: DriftPlace,
    drift: Drift,
    example: Option<Uuid>,
}

fn json<T: serde::de::DeserializeOwned>(row: &PgRow, column: &str) -> Result<T, StoreError> {
    let value: serde_json::Value = row.try_get(column)?;
    serde_json::from_value(value).map_err(|error| StoreError::Corrupt {
        what: "a drift's profile",
        id: column.to_owned(),
        why: error.to_string(),
    })
}

/// What an open notice is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    place: DriftPlace,
    path: String,
    what: What,
    value: Option<String>,
}

impl Key {
    fn of(place: DriftPlace, drift: &Drift) -> Self {
        Self { place, path: drift.path.to_string(), what: drift.what, value: drift.value.clone() }
    }

    fn read(row: &PgRow) -> Result<Option<Self>, StoreError> {
        let value: &str = row.try_get("value")?;
        let value = row.try_get::<bool, _>("has_value")?.then(|| value.to_owned());
        let what = What::parse(row.try_get("what")?);
        Ok(place(row)?.zip(what).map(|(place, what)| Self { place, what, value, path: row.get("path") }))
    }
}

fn place(row: &PgRow) -> Result<Option<DriftPlace>, StoreError> {
    let connection = ConnectionId(row.try_get("connection_id")?);
    let kind = RecordKind::parse(row.try_get("record_kind")?);
    let side = Side::parse(row.try_get("side")?);
    Ok(kind.zip(side).map(|(kind, side)| DriftPlace { connection, kind, side }))
}

/// Connections, kinds and sides as columns.
fn columns<'p>(places: impl Iterator<Item = &'p DriftPlace> + Clone) -> (Vec<Uuid>, Vec<&'static str>, Vec<&'static str>) {
    (
        places.clone().map(|place| place.connection.0).collect(),
        places.clone().map(|place| place.kind.as_str()).collect(),
        places.map(|place| place.side.as_str()).collect(),
    )
}

/// What was new, of a row of a drift.
fn news(row: &PgRow) -> Result<(Path, Profile), StoreError> {
    Ok((Path::from(row.try_get::<&str, _>("path")?), json(row, "news")?))
}
