//! A template is a flow to begin with between two connectors: data, as they are. Those of `templates/` were written by somebody who runs such
//! flows; for every other pair one is derived from what the two can do.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use domain::flow::FlowSpec;
use domain::mapping::Rule;
use domain::record::RecordKind;
use include_dir::{Dir, include_dir};
use serde::Deserialize;

use crate::connector::Connector;
use crate::flow::tables;
use crate::parse::{ParseError, yaml};

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// A flow to begin with, and what must be set up before it is published.
#[derive(Debug, Clone)]
pub struct FlowTemplate {
    /// The names of the connectors.
    pub source: String,
    pub destination: String,
    pub kind: RecordKind,
    pub title: String,
    /// What it does, in a few sentences.
    pub about: String,
    pub lookup_tables: Vec<TableNeed>,
    pub settings: Vec<SettingNeed>,
    pub flow: FlowSpec,
    /// False of one that is derived.
    pub is_curated: bool,
}

/// A lookup table that a flow looks into.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableNeed {
    pub name: String,
    /// What belongs in it.
    pub about: String,
    /// Some entries, as they would stand there.
    #[serde(default)]
    pub examples: BTreeMap<String, String>,
}

/// A setting of a connection that a flow cannot do without.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingNeed {
    pub side: Side,
    pub name: String,
    /// What it is for.
    pub about: String,
}

/// Which of a flow's two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Source,
    Destination,
}

impl Side {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }
}

/// `<source>--<destination>--<kind>.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplateFile {
    title: String,
    about: String,
    #[serde(default)]
    needs: Needs,
    #[serde(default)]
    flow: FlowSpec,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Needs {
    lookup_tables: Vec<TableNeed>,
    settings: Vec<SettingNeed>,
}

/// Why a file is no template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("its name is not <source>--<destination>--<kind>")]
    Name,
    #[error(transparent)]
    Yaml(#[from] ParseError),
}

impl FlowTemplate {
    /// Those that came with this build, by name. One that cannot be read is left out, which a test never lets pass.
    #[must_use]
    pub fn curated() -> &'static [FlowTemplate] {
        static CURATED: OnceLock<Vec<FlowTemplate>> = OnceLock::new();
        CURATED.get_or_init(|| embedded().filter_map(|(name, text)| Self::parse(name, text).ok()).collect())
    }

    /// # Errors
    /// What is wrong with the file, with its place.
    pub fn parse(name: &str, text: &str) -> Result<Self, TemplateError> {
        let mut parts = name.split("--");
        let (Some(source), Some(destination), Some(kind), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(TemplateError::Name);
        };
        let kind = RecordKind::parse(kind).ok_or(TemplateError::Name)?;
        let TemplateFile { title, about, needs, flow } = yaml(text)?;
        Ok(Self {
            source: source.to_owned(),
            destination: destination.to_owned(),
            kind,
            title,
            about: about.trim().to_owned(),
            lookup_tables: needs.lookup_tables,
            settings: needs.settings,
            flow,
            is_curated: true,
        })
    }

    /// What the two do of themselves; `None` where the one does not read the kind, or the other does not write it.
    #[must_use]
    pub fn derived(kind: RecordKind, source: &Connector, destination: &Connector) -> Option<Self> {
        let writes = destination.resource(kind).is_some_and(|resource| resource.write.is_some() || resource.update.is_some());
        source.read_plan(kind)?;
        destination.write_plan(kind).filter(|_| writes)?;
        let flow = FlowSpec::default();
        let need = |name: String| TableNeed { about: derived_about(&name, kind, destination), name, examples: BTreeMap::new() };
        let lookup_tables: Vec<TableNeed> = tables(&flow, kind, source, destination).into_iter().map(need).collect();
        let (from, to, noun) = (source.title(), destination.title(), plural(kind));
        let tables = match lookup_tables.len() {
            0 => "It needs no lookup table.",
            1 => "It needs a lookup table.",
            _ => "It needs lookup tables.",
        };
        Some(Self {
            source: source.name().to_owned(),
            destination: destination.name().to_owned(),
            kind,
            title: format!("{from} {noun} to {to}"),
            about: format!(
                "Every one of the {noun} that {from} sends, and each change of it, goes to {to} as the two connectors read and write it. {tables}"
            ),
            lookup_tables,
            settings: vec![],
            flow,
            is_curated: false,
        })
    }

    /// All between two connectors, at most one of a kind: those that somebody wrote first.
    #[must_use]
    pub fn between(source: &Connector, destination: &Connector) -> Vec<Self> {
        let is_theirs = |one: &&FlowTemplate| one.source == source.name() && one.destination == destination.name();
        let mut all: Vec<Self> = Self::curated().iter().filter(is_theirs).cloned().collect();
        for kind in RecordKind::ALL {
            if !all.iter().any(|one| one.kind == kind) {
                all.extend(Self::derived(kind, source, destination));
            }
        }
        all
    }

    /// `<source>--<destination>--<kind>`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}--{}--{}", self.source, self.destination, self.kind)
    }
}

fn embedded() -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut files: Vec<(&str, &str)> = EMBEDDED
        .files()
        .filter_map(|file| Some((file.path().file_name()?.to_str()?.strip_suffix(".yaml")?, file.contents_utf8()?)))
        .collect();
    files.sort_unstable();
    files.into_iter()
}

/// What people call several of a kind.
fn plural(kind: RecordKind) -> String {
    format!("{}s", kind.as_str().replace('_', " "))
}

fn derived_about(table: &str, kind: RecordKind, destination: &Connector) -> String {
    let title = destination.title();
    let rules = destination.write_rules(kind).map(|rules| rules.0.as_slice()).unwrap_or_default();
    match looks_up(rules, table, "") {
        Some((from, to)) => format!("From `{from}` of the {} to what {title} calls it: `{to}`.", kind.as_str().replace('_', " ")),
        None => format!("What the mapping to {title} looks up there."),
    }
}

/// The first rule that looks into the table: what it reads and what it writes.
fn looks_up(rules: &[Rule], table: &str, within: &str) -> Option<(String, String)> {
    rules.iter().find_map(|rule| {
        let to = format!("{within}{}", rule.field());
        if rule.lookup.as_deref() == Some(table) {
            return Some((rule.from.clone().or_else(|| rule.expr.clone())?, to));
        }
        looks_up(rule.rules.as_deref().unwrap_or_default(), table, &format!("{to}[]."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Catalog;

    #[test]
    fn every_file_is_a_template_and_named_by_what_it_connects() {
        for (name, text) in embedded() {
            let template = FlowTemplate::parse(name, text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(template.name(), name);
        }
        assert!(matches!(FlowTemplate::parse("a--b--order--c", "title: t\nabout: a\n"), Err(TemplateError::Name)));
        assert!(matches!(FlowTemplate::parse("a--b--ordr", "title: t\nabout: a\n"), Err(TemplateError::Name)));
        let error = FlowTemplate::parse("a--b--order", "title: t\nabot: a\n").unwrap_err().to_string();
        assert_eq!(error, "2:1: there is no `abot` here; did you mean `about`?");
    }

    #[test]
    fn between_a_pair_that_nobody_wrote_for_stands_what_the_two_can_do() {
        let catalog = Catalog::embedded();
        let (source, destination) = (catalog.get("http").unwrap(), catalog.get("netsuite").unwrap());
        let all = FlowTemplate::between(source, destination);
        let order = all.iter().find(|one| one.kind == RecordKind::Order).unwrap();
        assert!(!order.is_curated);
        assert_eq!(order.name(), "http--netsuite--order");
        let needs: Vec<(&str, &str)> = order.lookup_tables.iter().map(|one| (one.name.as_str(), one.about.as_str())).collect();
        assert!(
            needs.contains(&("SKUs", "From `sku` of the order to what NetSuite calls it: `item.items[].item.id`.")),
            "{needs:?}"
        );
        let odoo = catalog.get("odoo").unwrap();
        assert!(FlowTemplate::derived(RecordKind::Item, source, odoo).is_none(), "Odoo's items are read only");
    }

    #[test]
    fn what_somebody_wrote_stands_first_and_for_its_kind_alone() {
        let catalog = Catalog::embedded();
        let all = FlowTemplate::between(catalog.get("shopify").unwrap(), catalog.get("netsuite").unwrap());
        assert!(all[0].is_curated && all[0].kind == RecordKind::Order);
        assert_eq!(all.iter().filter(|one| one.kind == RecordKind::Order).count(), 1);
        assert!(all.iter().any(|one| one.kind == RecordKind::Customer && !one.is_curated));
    }
}
