//! `crossdock flow check`: finds the records that a mapping has no answer for before a customer does. It calls nobody and needs no account.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};
use connectors::Connector;
use domain::counter_example::{Checker, FilledTables, plain};
use domain::mapping::{Filter, LookupSet, Plan, Rules, Vars};
use domain::record::RecordKind;
use domain::value::{Limits, Value};
use serde_json::json;

use super::report::Checked;
use crate::connector::{find, open};
use crate::{Failure, say};

/// A file that a person wrote; more is none.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

#[derive(Args)]
pub struct Check {
    /// The connector that is written to.
    #[arg(required_unless_present = "flow")]
    connector: Option<String>,
    /// The kind of record: order, customer, item, inventory_level, shipment, invoice, return, payment, refund, purchase_order.
    #[arg(value_parser = kind, required_unless_present = "flow")]
    kind: Option<RecordKind>,
    /// A flow as YAML: `kind`, `destination_connector`, `filter`, `mapping`.
    #[arg(long, conflicts_with_all = ["connector", "kind", "mapping"])]
    flow: Option<PathBuf>,
    /// Your own rules as YAML, laid over the connector's.
    #[arg(long)]
    mapping: Option<PathBuf>,
    /// Your lookup tables as YAML: `SKUs: { HAT-XL: "88" }`. A table that is not given has an entry for every key.
    #[arg(long)]
    tables: Option<PathBuf>,
    /// The settings of your connection as YAML; absent: the examples of the connect form.
    #[arg(long)]
    settings: Option<PathBuf>,
    /// The same seed makes the same records.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A catalog folder; absent: the connectors that came with this build.
    #[arg(long)]
    catalog: Option<PathBuf>,
    /// What may fail: a code, such as `required`, or a field of the destination, such as `item.items[].item.id`. Told, but no failure.
    #[arg(long)]
    accept: Vec<String>,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

fn kind(text: &str) -> Result<RecordKind, String> {
    let known = || RecordKind::ALL.map(RecordKind::as_str).join(", ");
    RecordKind::parse(text).ok_or_else(|| format!("there is no such kind of record; there are {}", known()))
}

/// What is checked, whether it was named or stands in a file.
struct Subject {
    connector: String,
    kind: RecordKind,
    rules: Rules,
    filter: Option<Filter>,
}

impl Check {
    pub fn run(self) -> Result<(), Failure> {
        let subject = self.subject()?;
        let kind = subject.kind;
        let connector = find(open(self.catalog.clone())?, &subject.connector)?;
        let base = connector.write_rules(kind).cloned().unwrap_or_default();
        let rules = base.overlaid(subject.rules);
        if rules.is_empty() {
            let title = connector.title();
            return Err(format!("{title} has no mapping that writes the kind {kind}; give one of your own with --mapping").into());
        }
        let plan = Plan::compile(&rules).map_err(|errors| format!("the mapping cannot be used:\n{errors}"))?;
        let given: LookupSet = match &self.tables {
            Some(file) => read::<BTreeMap<String, HashMap<String, String>>>(file)?.into_iter().collect(),
            None => LookupSet::default(),
        };
        let lookups = FilledTables::new(&given, connector.tables(), &rules);
        let plain = plain_record(connector, kind)?;
        let vars = self.vars(connector, kind)?;
        let started = Instant::now();
        let checker = Checker { kind, plan: &plan, filter: subject.filter.as_ref(), lookups: &lookups, vars: &vars };
        let report = checker.run(&plain, self.seed);
        let checked = Checked {
            connector,
            kind,
            seed: self.seed,
            seconds: started.elapsed().as_secs_f64(),
            report: &report,
            made_up: lookups.made_up(),
            made_up_tables: lookups.made_up_tables(),
            accepted: &self.accept,
        };
        match self.format {
            Format::Text => say(&checked.text())?,
            Format::Json => say(&checked.json().to_string())?,
        }
        match checked.failures() {
            0 => Ok(()),
            count => {
                let records = if count == 1 { "cause, with the record" } else { "causes, each with the record" };
                let title = connector.title();
                Err(format!(
                    "the mapping to {title} fails for {count} {records} above: mend the mapping, or --accept what is right"
                )
                .into())
            }
        }
    }

    fn subject(&self) -> Result<Subject, Failure> {
        if let Some(file) = &self.flow {
            return flow(file);
        }
        let rules = self.mapping.as_deref().map_or_else(|| Ok(Rules::default()), read)?;
        // The parser of the command line asked for both.
        let connector = self.connector.clone().ok_or("name the connector that is written to")?;
        let kind = self.kind.ok_or("name the kind of record")?;
        Ok(Subject { connector, kind, rules, filter: None })
    }

    /// What stands beside a record when it is really written.
    fn vars(&self, connector: &Connector, kind: RecordKind) -> Result<Vars, Failure> {
        let settings = match &self.settings {
            Some(file) => {
                let settings: serde_json::Value = read(file)?;
                connector.check_settings(&settings).map_err(|errors| {
                    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                    format!("the settings of {} are not right:\n{}", file.display(), errors.join("\n"))
                })?;
                settings
            }
            None => connector.example_settings(),
        };
        let record = json!({"revision": 1, "external_key": "0192f0c1-2d3e-7abc-8def-0123456789ab", "kind": kind.as_str()});
        let mut vars = Vars::default();
        vars.set("settings", Value::from(&settings));
        vars.set("record", Value::from(&record));
        vars.set("source", Value::from(&json!({"connection": "A shop"})));
        Ok(vars)
    }
}

/// The connector's own, where it needs more than most.
fn plain_record(connector: &Connector, kind: RecordKind) -> Result<Value, Failure> {
    let text = connector.write_sample(kind).unwrap_or_else(|| plain(kind));
    Ok(Value::parse(text.as_bytes(), &Limits::DEFAULT)?)
}

fn flow(file: &Path) -> Result<Subject, Failure> {
    let flow: serde_json::Value = read(file)?;
    let text = |name: &str| flow.get(name).and_then(serde_json::Value::as_str);
    let needed = |name: &str| text(name).ok_or_else(|| format!("{} does not say its {name}", file.display()));
    let filter = text("filter").map(Filter::compile).transpose();
    let rules = flow.get("mapping").filter(|rules| !rules.is_null()).cloned().map(serde_json::from_value).transpose();
    Ok(Subject {
        connector: needed("destination_connector")?.to_owned(),
        kind: kind(needed("kind")?)?,
        rules: rules.map_err(|error| format!("the mapping of {} cannot be read: {error}", file.display()))?.unwrap_or_default(),
        filter: filter.map_err(|error| format!("the filter of {} cannot be read: {error}", file.display()))?,
    })
}

fn read<T: serde::de::DeserializeOwned>(file: &Path) -> Result<T, Failure> {
    let unreadable = |error: std::io::Error| format!("{} cannot be read: {error}", file.display());
    if std::fs::metadata(file).map_err(unreadable)?.len() > FILE_BYTES_MAX {
        return Err(format!(
            "{} is longer than {FILE_BYTES_MAX} bytes; give a file of rules, tables or settings",
            file.display()
        )
        .into());
    }
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    connectors::yaml(&text).map_err(|error| format!("{}:{error}", file.display()).into())
}
