//! Drift: what was received and what was taken is handed over to be gathered, and a message whose news must be looked at first is held.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use domain::drift::{Side, Watch};
use domain::exception::Reason;
use domain::id::{ConnectionId, TenantId};
use domain::record::RecordKind;
use domain::value::{Arena, Limits, Tree};
use infra::drift::Document;
use infra::postgres::StoreError;
use infra::postgres::drift::{DriftPlace, Held};
use infra::postgres::receive::{Created, Inbound, Receiving};
use tokio::sync::watch;

use crate::Context;
use crate::call::{Call, Taken};

/// Connections whose holds are kept; when full it starts anew.
const CONNECTIONS_MAX: usize = 2_000;

pub async fn run(context: Arc<Context>, stop: watch::Receiver<bool>) {
    context.drifts.write(&context.store, context.catalog, stop).await;
}

/// What is held of one connection, by kind of record, under the version that it was read with.
type Kept = (i64, HashMap<RecordKind, Arc<Watch>>);

/// What is held of each connection.
#[derive(Default)]
pub struct Holds(Mutex<HashMap<ConnectionId, Kept>>);

/// What is held of the messages of one batch.
pub type HeldKinds = HashMap<(ConnectionId, RecordKind), Arc<Watch>>;

impl Holds {
    /// What is held of these messages. Most connections hold nothing, and cost nothing; of the others it is read when it has changed.
    pub async fn of(&self, receiving: &mut Receiving<'_>) -> Result<HeldKinds, StoreError> {
        let versions: HashMap<ConnectionId, i64> =
            receiving.messages.iter().filter(|m| m.drift_version > 0).map(|m| (m.connection, m.drift_version)).collect();
        if versions.is_empty() {
            return Ok(HeldKinds::new());
        }
        let is_missing = |(id, version): &(&ConnectionId, &i64)| self.lock().get(*id).is_none_or(|(kept, _)| kept != *version);
        let missing: Vec<ConnectionId> = versions.iter().filter(is_missing).map(|(id, _)| *id).collect();
        if !missing.is_empty() {
            let read = receiving.holds(&missing).await?;
            let mut kept = self.lock();
            if kept.len() + missing.len() > CONNECTIONS_MAX {
                kept.clear();
            }
            for id in missing {
                kept.insert(id, (versions[&id], HashMap::new()));
            }
            for ((connection, kind), watch) in read {
                if let Some((_, kinds)) = kept.get_mut(&connection) {
                    kinds.insert(kind, Arc::new(watch));
                }
            }
        }
        let kept = self.lock();
        let of = |id: &ConnectionId| kept.get(id).map(|(_, kinds)| (*id, kinds));
        let holds = versions.keys().filter_map(of);
        Ok(holds.flat_map(|(id, kinds)| kinds.iter().map(move |(kind, watch)| ((id, *kind), watch.clone()))).collect())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ConnectionId, Kept>> {
        self.0.lock().expect("no code panics while it holds the holds")
    }
}

/// Why this message is held, and what is to be looked at. It is decided on the whole document, whatever the mapping reads of it.
pub fn hold(holds: &HeldKinds, message: &Inbound) -> Option<(Reason, Held)> {
    let kind = message.kind?;
    let watch = holds.get(&(message.connection, kind))?;
    let arena = Arena::new();
    let tree = Tree::parse(&message.body, &Limits::DEFAULT, None, &arena).ok()?;
    let drifts = watch.held(tree, message.id.0);
    let reason = Reason::drifted(&message.topic, &message.connection_name, drifts.first()?);
    Some((reason, Held { message: message.id, connection: message.connection, kind, drifts }))
}

/// The place of what a connection sends.
pub fn source(connection: ConnectionId, kind: RecordKind) -> DriftPlace {
    DriftPlace { connection, kind, side: Side::Source }
}

/// Notes the records of a batch that are new.
pub fn note_created(context: &Context, tenant: TenantId, created: Vec<Created>) {
    for Created { connection, kind, worth } in created {
        context.drifts.note_created(tenant, source(connection, kind), worth);
    }
}

/// Notes the payload that its destination took with this call.
pub fn note_taken(context: &Context, tenant: TenantId, call: Call, taken: Taken) {
    let (id, bytes, kind) = (call.duty.parcel.id.0, call.request.body.len(), call.duty.parcel.kind);
    let place = DriftPlace { connection: call.duty.connection.id, kind, side: Side::Destination };
    let Some(payload) = call.duty.known.payload else { return };
    context.drifts.note(tenant, place, id, Document::Value(payload), bytes);
    if taken == Taken::New {
        context.drifts.note_created_of(tenant, place, call.duty.parcel.document);
    }
}
