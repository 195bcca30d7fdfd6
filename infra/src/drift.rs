//! What documents look like, on its way from the workers to the profiles in Postgres. Workers hand over what they received and what was taken,
//! and go on; one task of the process gathers it, and writes it every few seconds, all places of a tenant in one transaction. These are
//! statistics: a process that dies loses the last seconds of them, and under more than it can gather documents are left out. Nothing that
//! decides over a record depends on it: what is held is decided where the message is received.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::Utc;
use connectors::Catalog;
use domain::canonical;
use domain::drift::{Gatherer, Learning, Volume, Worth};
use domain::id::TenantId;
use domain::scope::Scope;
use domain::value::{Arena, Limits, Tree, Value};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tracing::{debug, info, warn};
use uuid::Uuid;

use crate::chain;
use crate::postgres::Store;
use crate::postgres::drift::DriftPlace;

/// Documents that wait to be gathered, and their bytes. What finds no room is left out.
const WAITING_MAX: usize = 4_000;
const WAITING_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Documents of one place that are gathered between two writes; of those beyond, one in so many: what matters comes again where so much comes.
const WHOLE_MAX: u64 = 500;
const SAMPLE: u64 = 8;
/// Places in memory; with so many they are written early.
const PLACES_MAX: usize = 1_000;
/// Places of one transaction.
const FLUSH_MAX: usize = 20;

/// How drift is watched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftSettings {
    /// How often what was gathered is written.
    pub flush_every: Duration,
    pub learning: Learning,
}

impl Default for DriftSettings {
    fn default() -> Self {
        Self { flush_every: Duration::from_secs(10), learning: Learning::default() }
    }
}

/// A document, as it was received or taken.
#[derive(Debug)]
pub enum Document {
    Json(Vec<u8>),
    Value(Value),
}

/// Something that says how documents of a place are.
#[derive(Debug)]
enum Noted {
    /// `id` is the message, or the delivery, that it is shown by.
    Document { id: Uuid, document: Document, bytes: usize },
    /// A record is new there.
    Created(Option<Worth>),
    /// The same, of which only the record itself is at hand.
    CreatedOf(String),
}

/// Gathers documents. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Drifts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: DriftSettings,
    sender: mpsc::Sender<(TenantId, DriftPlace, Noted)>,
    receiver: Mutex<Option<mpsc::Receiver<(TenantId, DriftPlace, Noted)>>>,
    waiting_bytes: AtomicUsize,
    left_out: AtomicUsize,
}

#[derive(Debug, Default)]
struct Gathered {
    documents: Gatherer,
    /// All that came, gathered or not.
    came: u64,
    volume: Volume,
}

type Places = BTreeMap<DriftPlace, Gathered>;

impl Drifts {
    #[must_use]
    pub fn new(settings: DriftSettings) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let (waiting_bytes, left_out) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self(Arc::new(Inner { settings, sender, receiver: Mutex::new(Some(receiver)), waiting_bytes, left_out }))
    }

    /// Notes a document. Neither waits nor fails.
    pub fn note(&self, tenant: TenantId, place: DriftPlace, id: Uuid, document: Document, bytes: usize) {
        let waiting = self.0.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let noted = (tenant, place, Noted::Document { id, document, bytes });
        if waiting + bytes > WAITING_BYTES_MAX || self.0.sender.try_send(noted).is_err() {
            self.0.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.0.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes that a record is new, and what it comes to. Neither waits nor fails.
    pub fn note_created(&self, tenant: TenantId, place: DriftPlace, worth: Option<Worth>) {
        // Without room it is a record less in a mean of a week.
        let _ = self.0.sender.try_send((tenant, place, Noted::Created(worth)));
    }

    /// As [`Self::note_created`], of a record as it is stored.
    pub fn note_created_of(&self, tenant: TenantId, place: DriftPlace, record: String) {
        let _ = self.0.sender.try_send((tenant, place, Noted::CreatedOf(record)));
    }

    /// Gathers and writes until `stop` says so; then once more. A second caller has nothing to do.
    pub async fn write(&self, store: &Store, catalog: &Catalog, mut stop: watch::Receiver<bool>) {
        let taken = self.0.receiver.lock().expect("no code panics while it holds the receiver").take();
        let Some(mut receiver) = taken else { return };
        let mut tick = tokio::time::interval(self.0.settings.flush_every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tenants: HashMap<TenantId, Places> = HashMap::new();
        loop {
            let mut is_due = false;
            let mut is_stopped = false;
            tokio::select! {
                noted = receiver.recv() => if let Some(noted) = noted { self.gather(&mut tenants, noted) },
                _ = tick.tick() => is_due = true,
                _ = stop.wait_for(|stop| *stop) => is_stopped = true,
            }
            if is_stopped {
                while let Ok(noted) = receiver.try_recv() {
                    self.gather(&mut tenants, noted);
                }
            }
            let is_full = tenants.values().map(BTreeMap::len).sum::<usize>() >= PLACES_MAX;
            if is_due || is_full || is_stopped {
                for (tenant, places) in std::mem::take(&mut tenants) {
                    self.flush(store, catalog, tenant, &places).await;
                }
                let left_out = self.0.left_out.swap(0, Ordering::Relaxed);
                if left_out > 0 {
                    debug!(left_out, "More came than is gathered: {left_out} documents are in no profile");
                }
            }
            if is_stopped {
                return;
            }
        }
    }

    fn gather(&self, tenants: &mut HashMap<TenantId, Places>, (tenant, place, noted): (TenantId, DriftPlace, Noted)) {
        let gathered = tenants.entry(tenant).or_default().entry(place).or_default();
        match noted {
            Noted::Created(worth) => gathered.volume.add(worth.as_ref()),
            Noted::CreatedOf(record) => {
                let record = Value::parse(record.as_bytes(), &Limits::DEFAULT).ok();
                let summary = record.and_then(|record| canonical::check(place.kind, &record).ok());
                gathered.volume.add(summary.as_ref().and_then(Worth::of).as_ref());
            }
            Noted::Document { id, document, bytes } => {
                self.0.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
                gathered.came += 1;
                if gathered.came <= WHOLE_MAX || gathered.came.is_multiple_of(SAMPLE) {
                    add(&mut gathered.documents, id, &document);
                }
            }
        }
    }

    async fn flush(&self, store: &Store, catalog: &Catalog, tenant: TenantId, places: &Places) {
        let scope = Scope::system(tenant, "drift");
        let all: Vec<(&DriftPlace, &Gathered)> = places.iter().collect();
        for some in all.chunks(FLUSH_MAX) {
            let documents: Vec<_> =
                some.iter().filter(|(_, g)| g.documents.documents() > 0).map(|(place, g)| (**place, &g.documents)).collect();
            let volumes: Vec<_> =
                some.iter().filter(|(_, g)| g.volume.iter().next().is_some()).map(|(place, g)| (**place, &g.volume)).collect();
            let store = store.within(&scope);
            match store.drift_flush(catalog, &self.0.settings.learning, &documents, &volumes, Utc::now()).await {
                Ok(flushed) if flushed.raised > 0 => {
                    let raised = flushed.raised;
                    info!(tenant.id = %tenant, raised, "Raised {raised} notices of drift");
                }
                Ok(_) => {}
                Err(error) => {
                    warn!(error = chain(&error), tenant.id = %tenant, "What documents look like was not written; the next ones say it again");
                }
            }
        }
    }
}

/// What cannot be read was refused where it was received.
fn add(gatherer: &mut Gatherer, id: Uuid, document: &Document) {
    let arena = Arena::new();
    match document {
        Document::Json(json) => {
            if let Ok(tree) = Tree::parse(json, &Limits::DEFAULT, None, &arena) {
                gatherer.add(tree, id);
            }
        }
        Document::Value(value) => gatherer.add(Tree::of(value, None, &arena), id),
    }
}
