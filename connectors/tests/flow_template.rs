//! Every template that comes with a build, held to what it promises: it fits its two connectors, it names all that must be set up, and the
//! samples of its source become requests to its destination.

use chrono::Utc;
use connectors::flow::{check, external_key, tables};
use connectors::trial::{self, Revision, Trial, Tried};
use connectors::{Catalog, Connector, FlowTemplate, Inputs};
use domain::id::{ConnectionId, DeliveryId};
use domain::mapping::{LookupSet, Lookups};
use domain::record::RecordKind;

fn connector(name: &str) -> &'static Connector {
    Catalog::embedded().get(name).unwrap_or_else(|| panic!("there is no connector \"{name}\""))
}

/// Each with its connectors.
fn all() -> impl Iterator<Item = (&'static FlowTemplate, &'static Connector, &'static Connector)> {
    FlowTemplate::curated().iter().map(|one| (one, connector(&one.source), connector(&one.destination)))
}

#[test]
fn a_template_can_be_published_as_it_is() {
    let errors: Vec<String> = all()
        .flat_map(|(template, source, destination)| {
            let errors = check(&template.flow, template.kind, source, destination);
            errors.into_iter().map(|error| format!("{}: {error}", template.name()))
        })
        .collect();
    assert_eq!(errors, [""; 0]);
    assert!(all().count() >= 20, "the wanted pairs");
}

#[test]
fn a_template_names_every_table_that_it_looks_into_with_an_example_and_no_other() {
    for (template, source, destination) in all() {
        let mut named: Vec<&str> = template.lookup_tables.iter().map(|need| need.name.as_str()).collect();
        named.sort_unstable();
        assert_eq!(named, tables(&template.flow, template.kind, source, destination), "{}", template.name());
        for need in &template.lookup_tables {
            assert!(!need.about.is_empty() && !need.examples.is_empty(), "{}: {}", template.name(), need.name);
        }
    }
}

#[test]
fn a_template_names_settings_that_its_connectors_have() {
    for (template, source, destination) in all() {
        for need in &template.settings {
            let connector = if need.side == connectors::Side::Source { source } else { destination };
            assert!(connector.settings().contains_key(&need.name), "{}: {}", template.name(), need.name);
        }
    }
}

/// What a template gives as examples; a key that is not among them has the first one's value, so that the entries' form is what is tried.
struct Examples<'t>(&'t FlowTemplate, &'t LookupSet);

impl Lookups for Examples<'_> {
    fn find(&self, table: &str, key: &str) -> Option<&str> {
        match self.0.lookup_tables.iter().find(|need| need.name == table) {
            Some(need) => need.examples.get(key).or_else(|| need.examples.values().next()).map(String::as_str),
            None => self.1.find(table, key),
        }
    }

    fn has_table(&self, table: &str) -> bool {
        self.1.has_table(table) || self.0.lookup_tables.iter().any(|need| need.name == table)
    }
}

/// A shipment names an order that we brought there, so its lines have the ids of where it came from.
fn of_our_order(document: &str, template: &FlowTemplate) -> String {
    if template.kind != RecordKind::Shipment {
        return document.to_owned();
    }
    let mut document: serde_json::Value = serde_json::from_str(document).expect("a record is JSON");
    document["order"]["key"] = external_key(&template.destination, ConnectionId::generate(), "1042").into();
    document.to_string()
}

fn settings(connector: &Connector) -> serde_json::Value {
    let mut settings = connector.example_settings();
    settings["base_url"] = "https://vendor.example".into();
    settings
}

#[test]
fn the_samples_of_its_source_become_requests() {
    let (mut made_all, mut refused) = (0, Vec::new());
    for (template, source, destination) in all() {
        let name = template.name();
        let (source_settings, destination_settings) = (settings(source), settings(destination));
        let side = |name, connector, settings| trial::Side { connection: ConnectionId::generate(), name, settings, connector };
        let (from, to) = (side("from", source, &source_settings), side("to", destination, &destination_settings));
        let trial =
            Trial::new(&template.flow, &[], template.kind, from, to).unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
        let mut made = 0;
        for (sample, text) in source.samples(template.kind) {
            let read = trial.read(text.as_bytes(), source.tables()).unwrap_or_else(|why| panic!("{name}: {sample}: {why:?}"));
            let document = of_our_order(&read.document.to_json(), template);
            let revision = Revision {
                source_id: read.source_id.as_deref().unwrap(),
                number: read.number.as_deref(),
                revision: 1,
                document: document.as_bytes(),
                unbalanced: read.unbalanced.as_deref(),
                delivery: DeliveryId::generate(),
            };
            match trial.run(&revision, &Inputs::default(), &Examples(template, destination.tables()), Utc::now()) {
                Tried::Made(request) => {
                    let request = request.request.unsigned();
                    assert!(request.url.starts_with("http"), "{name}: {sample}: {}", request.url);
                    made += 1;
                }
                Tried::Left => {}
                Tried::Refused(why) => refused.push(format!("{name}: {sample}: {}", why.cause)),
            }
        }
        assert!(made > 0, "{name}: no sample becomes a request");
        made_all += made;
    }
    assert!(made_all >= 40, "{made_all}");
    // A line that names no item is for a person to look at.
    refused.retain(|line| !line.contains("_no_sku: The field"));
    assert_eq!(refused, [""; 0]);
}
