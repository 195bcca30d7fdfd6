//! A tenant's account at real software: the connector as the catalog's folder says now, called through the door that production uses and through a
//! proxy that can lose an answer.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use connectors::manifest::{Page, Size};
use connectors::{CallVars, Change, Connector, Position, Proof, ReadRecord, RequestContext};
use domain::canonical;
use domain::delivery::Receipt;
use domain::fault::{Fault, FaultClass};
use domain::http::NoAnswer;
use domain::mapping::{LookupSet, Vars};
use domain::record::RecordKind;
use domain::secret::SecretFields;
use domain::value::{Limits, Value};
use infra::outbound::{AllowList, Outbound};
use serde_json::{Value as Json, json};
use tests::proxy::Proxy;
use workers::vendor::{Vendor, VendorError, WriteKeys};

use crate::catalog;
use crate::proving::{Proving, Stopped};

/// The longest that a call may take: Medusa's first one of a kind takes a second.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

pub struct Account {
    pub connector: Connector,
    pub settings: Json,
    pub credential: SecretFields,
    pub proxy: Proxy,
    outbound: Outbound,
}

/// What a read brought.
pub struct Brought {
    pub records: Vec<ReadRecord>,
    pub pages: u64,
}

impl Brought {
    pub fn ids(&self) -> BTreeSet<String> {
        self.records.iter().filter_map(|record| record.id.clone()).collect()
    }
}

pub fn secrets(fields: &[(&str, &str)]) -> SecretFields {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned().into())).collect()
}

/// The fault that a call ended as.
pub fn fault<T: std::fmt::Debug>(outcome: Result<T, VendorError>) -> Fault {
    match outcome {
        Err(VendorError::Fault(fault)) => fault,
        other => panic!("it was not refused: {other:?}"),
    }
}

fn keys<'k>(key: &'k str, revision: i64, idempotency_key: &'k str) -> WriteKeys<'k> {
    WriteKeys { external_key: key, revision, idempotency_key }
}

impl Account {
    /// `url` is where the software answers; the account speaks to it through the proxy.
    pub async fn open(connector: &str, url: &str, mut settings: Json, credential: SecretFields) -> Self {
        let mut files = HashMap::new();
        for entry in std::fs::read_dir(catalog().join(connector)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                files.insert(path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap());
            }
        }
        let connector = Connector::from_files(connector, files).unwrap_or_else(|errors| panic!("{errors}"));
        let proxy = Proxy::start(Proxy::target(url, 80)).await.unwrap();
        settings["base_url"] = format!("http://{}", proxy.address).into();
        let outbound = Outbound::new(AllowList::parse("127.0.0.1:*"), CALL_TIMEOUT).unwrap();
        Self { connector, settings, credential, proxy, outbound }
    }

    /// Asks for pages of so few records that lists of a test have several.
    pub fn with_pages_of(mut self, records: u32) -> Self {
        for read in self.connector.manifest.resources.values_mut().filter_map(|resource| resource.read.as_mut()) {
            for page in read.page.iter_mut().chain(read.parent.iter_mut().filter_map(|parent| parent.read.page.as_mut())) {
                let size = match page {
                    Page::Number(page) => page.size.as_mut(),
                    Page::Offset(page) => Some(&mut page.size),
                    Page::Cursor(page) => page.size.as_mut(),
                    Page::Link(page) => page.size.as_mut(),
                    Page::NextUrl(page) => page.size.as_mut(),
                };
                size.into_iter().for_each(|size: &mut Size| size.value = records);
            }
        }
        self
    }

    fn vendor(&self) -> Vendor<'_> {
        self.vendor_with(&self.credential)
    }

    fn vendor_with<'a>(&'a self, credential: &'a SecretFields) -> Vendor<'a> {
        Vendor::new(&self.connector, &self.settings, credential, &self.outbound)
    }

    /// Every field another, of the same shape.
    pub fn wrong_credential(&self) -> SecretFields {
        use domain::secret::ExposeSecret;
        let turned = |text: &str| -> String {
            let (start, end) = text.split_at(text.len().min(3));
            format!("{start}{}", end.chars().rev().map(|c| if c == 'a' { 'b' } else { 'a' }).collect::<String>())
        };
        self.credential.0.iter().map(|(name, value)| (name.clone(), turned(value.expose_secret()).into())).collect()
    }

    pub async fn read(&self, kind: RecordKind, position: &mut Position) -> Result<Brought, VendorError> {
        self.read_as(&self.credential, kind, position).await
    }

    pub async fn read_as(
        &self,
        credential: &SecretFields,
        kind: RecordKind,
        position: &mut Position,
    ) -> Result<Brought, VendorError> {
        let mut records = Vec::new();
        let end = self.vendor_with(credential).read(kind, position, async |page, _| records.extend(page)).await?;
        *position = end.position;
        Ok(Brought { records, pages: end.pages })
    }

    pub async fn read_all(&self, kind: RecordKind) -> Result<Brought, VendorError> {
        self.read(kind, &mut Position::default()).await
    }

    /// The canonical record that the connector's mapping makes of what was read, checked.
    pub fn record(&self, kind: RecordKind, bytes: &[u8]) -> Json {
        let source = Value::parse(bytes, &Limits::DEFAULT).unwrap();
        let plan = self.connector.read_plan(kind).expect("the kind is read");
        let record = plan.apply(&source, self.connector.tables(), &Vars::default());
        let record = record.unwrap_or_else(|issues| panic!("{issues:?} in {}", source.to_json()));
        canonical::check(kind, &record).unwrap_or_else(|issues| panic!("{issues:?} in {}", record.to_json()));
        serde_json::from_str(&record.to_json()).unwrap()
    }

    /// The payload that the connector's mapping makes of a canonical record. `tables` are the tenant's.
    pub fn payload(&self, kind: RecordKind, record: &Json, (key, revision): (&str, i64), tables: &LookupSet) -> Value {
        let mut vars = Vars::default();
        vars.set("settings", Value::from(&self.settings));
        vars.set("record", Value::from(&json!({"revision": revision, "external_key": key, "kind": kind.as_str()})));
        vars.set("source", Value::from(&json!({"connection": "ERP"})));
        let plan = self.connector.write_plan(kind).expect("the kind is written");
        plan.apply(&Value::from(record), tables, &vars).unwrap_or_else(|issues| panic!("{issues:?}"))
    }

    pub async fn write(&self, kind: RecordKind, key: &str, revision: i64, payload: &Value) -> Result<Receipt, VendorError> {
        self.write_as(&self.credential, kind, key, revision, payload).await
    }

    pub async fn write_as(
        &self,
        credential: &SecretFields,
        kind: RecordKind,
        key: &str,
        revision: i64,
        payload: &Value,
    ) -> Result<Receipt, VendorError> {
        self.change(credential, (kind, Change::Write), (key, revision), Some(payload)).await
    }

    pub async fn update(
        &self,
        kind: RecordKind,
        id: &str,
        key: &str,
        revision: i64,
        payload: &Value,
    ) -> Result<Receipt, VendorError> {
        let known = Receipt { id: id.to_owned(), version: None };
        self.change(&self.credential, (kind, Change::Update(&known)), (key, revision), Some(payload)).await
    }

    pub async fn act(&self, kind: RecordKind, action: &str, id: &str, payload: Option<&Value>) -> Result<(), VendorError> {
        let on = Receipt { id: id.to_owned(), version: None };
        self.change(&self.credential, (kind, Change::Action(action, &on)), (id, 1), payload).await.map(|_| ())
    }

    /// A change, and what is looked up before it.
    async fn change(
        &self,
        credential: &SecretFields,
        (kind, change): (RecordKind, Change<'_>),
        (key, revision): (&str, i64),
        payload: Option<&Value>,
    ) -> Result<Receipt, VendorError> {
        let once = format!("{key}.{revision}.{change:?}");
        let once = if matches!(change, Change::Write) { format!("{key}.{revision}") } else { once };
        let keys = keys(key, revision, &once);
        let vendor = self.vendor_with(credential);
        let answer = vendor.send(vendor.change(kind, change, payload, keys).await?).await?;
        Ok(self.connector.read_change_answer(kind, change, &answer, key)?)
    }

    /// Whether an action's proof says that it was done.
    pub async fn is_done(&self, kind: RecordKind, action: &str, id: &str, payload: Option<&Value>) -> Result<bool, VendorError> {
        let rule = self.connector.manifest.resources[&kind].actions[action].proof.as_ref().expect("the action has a proof");
        let vars = CallVars { external_id: Some(id), payload, ..CallVars::default() };
        let answer =
            self.vendor().call(WriteKeys::default(), |context| self.connector.call(&rule.request, &vars, context)).await?;
        Ok(self.connector.read_action_proof(kind, action, id, &answer)?)
    }

    /// What the destination says when it is asked for what a lost answer did.
    pub async fn prove(&self, kind: RecordKind, key: &str, revision: i64, payload: &Value) -> Proof {
        let ask = |context: &RequestContext<'_>| {
            Ok(self.connector.proof_request(kind, Some(payload), context)?.expect("the kind has a proof"))
        };
        let answer = self.vendor().call(keys(key, revision, ""), ask).await.expect("the proof is answered");
        self.connector.read_proof_answer(kind, key, &answer, revision)
    }

    /// Reads back what a hook is about.
    pub async fn fetch(&self, topic: &str, source_id: &str) -> Result<Vec<u8>, VendorError> {
        let record = self.vendor().fetch(topic, source_id).await?.expect("the topic is read back");
        Ok(record.to_vec())
    }

    /// Reads one record by its id.
    pub async fn get(&self, kind: RecordKind, source_id: &str) -> Result<Value, VendorError> {
        let rule = self.connector.manifest.resources[&kind].get.as_ref().expect("the kind is read by its id");
        let vars = CallVars { source_id: Some(source_id), ..CallVars::default() };
        let answer =
            self.vendor().call(WriteKeys::default(), |context| self.connector.call(&rule.request, &vars, context)).await?;
        self.connector.read_action_answer(&answer)?;
        let body = Value::parse(&answer.body, &Limits::DEFAULT).expect("it is JSON");
        Ok(rule.record.as_deref().map_or(body.clone(), |path| body.at(path).cloned().expect("the record is there")))
    }

    /// Writes, and the answer is lost on its way.
    pub async fn write_and_lose(&self, kind: RecordKind, key: &str, revision: i64, payload: &Value) {
        self.proxy.lose_next_answer();
        let outcome = self.write(kind, key, revision, payload).await;
        assert!(matches!(outcome, Err(VendorError::NoAnswer(NoAnswer::Lost(_)))), "the answer was not lost: {outcome:?}");
    }

    /// Writes while nothing gets through.
    pub async fn write_into_nothing(&self, kind: RecordKind, key: &str, revision: i64, payload: &Value) {
        self.proxy.cut();
        let outcome = self.write(kind, key, revision, payload).await;
        self.proxy.restore();
        assert!(matches!(outcome, Err(VendorError::NoAnswer(_))), "it got through: {outcome:?}");
    }
}

/// Who has the right credential is let in, and nobody else.
pub async fn authentication(
    proving: &mut Proving,
    account: &Account,
    kind: RecordKind,
    wrong: &SecretFields,
) -> Result<(), Stopped> {
    proving
        .check("authentication: the right credential is let in", async {
            account.read_all(kind).await.unwrap();
        })
        .await?;
    proving
        .check("authentication: a wrong credential is refused, and understood", async {
            let fault = fault(account.read_as(wrong, kind, &mut Position::default()).await.map(|brought| brought.pages));
            assert_eq!(fault.class, FaultClass::Authentication, "{fault:?}");
        })
        .await
}

/// A fault of this class, with every placeholder filled.
pub fn assert_understood(fault: &Fault, class: FaultClass) {
    assert_eq!(fault.class, class, "{fault:?}");
    assert!(!fault.reason.contains("{{") && !fault.fix.is_empty(), "{fault:?}");
}
