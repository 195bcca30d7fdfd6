//! `crossdock flow templates` and `crossdock flow init`: a flow to begin with, out of what others run between the same two.

use std::path::PathBuf;

use clap::Args;
use connectors::{Catalog, Connector, FlowTemplate, to_yaml};
use domain::flow::FlowFile;
use domain::record::RecordKind;

use crate::connector::{find, open};
use crate::{Failure, say};

#[derive(Args)]
pub struct Templates {
    /// The connector that records come from.
    #[arg(long)]
    source: Option<String>,
    /// The connector that they go to. With both, what the two can do of themselves is listed too.
    #[arg(long)]
    destination: Option<String>,
    /// A catalog folder; absent: the connectors that came with this build.
    #[arg(long)]
    catalog: Option<PathBuf>,
}

impl Templates {
    /// # Errors
    /// Where there is no such connector.
    pub fn run(self) -> Result<(), Failure> {
        let catalog = open(self.catalog)?;
        let is_wanted = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
        for name in self.source.iter().chain(&self.destination) {
            find(catalog, name)?;
        }
        let templates = match (&self.source, &self.destination) {
            (Some(source), Some(destination)) => FlowTemplate::between(find(catalog, source)?, find(catalog, destination)?),
            (source, destination) => {
                let all = FlowTemplate::curated().iter();
                all.filter(|one| is_wanted(source, &one.source) && is_wanted(destination, &one.destination)).cloned().collect()
            }
        };
        if templates.is_empty() {
            return Err("there is no template for these: name both --source and --destination to see what the two can do".into());
        }
        for one in &templates {
            say(&format!("{:<44} {}", one.name(), one.title))?;
        }
        Ok(())
    }
}

#[derive(Args)]
pub struct Init {
    /// `<source>--<destination>--<kind>`, as `crossdock flow templates` lists them.
    template: String,
    /// The name of your connection that records come from.
    #[arg(long)]
    source: String,
    /// The name of your connection that they go to.
    #[arg(long)]
    destination: String,
    /// What the flow is called; absent: the template's title.
    #[arg(long)]
    name: Option<String>,
    /// A catalog folder; absent: the connectors that came with this build.
    #[arg(long)]
    catalog: Option<PathBuf>,
}

impl Init {
    /// # Errors
    /// Where there is no such template.
    pub fn run(self) -> Result<(), Failure> {
        let template = named(open(self.catalog)?, &self.template)?;
        let name = self.name.unwrap_or_else(|| template.title.clone());
        let mut file = FlowFile::new(&name, template.kind, &self.source, &self.destination, template.flow.clone());
        file.source_connector = Some(template.source.clone());
        file.destination_connector = Some(template.destination.clone());
        file.check()?;
        say(format!("{}{}", head(&template), to_yaml(&file.escaped())).trim_end())
    }
}

fn named(catalog: &'static Catalog, name: &str) -> Result<FlowTemplate, Failure> {
    if let Some(template) = FlowTemplate::curated().iter().find(|one| one.name() == name) {
        return Ok(template.clone());
    }
    let unknown = || format!("there is no template \"{name}\": `crossdock flow templates` lists them");
    let mut parts = name.split("--");
    let (Some(source), Some(destination), Some(kind), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(unknown().into());
    };
    let kind = RecordKind::parse(kind).ok_or_else(unknown)?;
    let (source, destination): (&Connector, &Connector) = (find(catalog, source)?, find(catalog, destination)?);
    FlowTemplate::derived(kind, source, destination)
        .ok_or_else(|| format!("{} and {} have no {kind} in common", source.title(), destination.title()).into())
}

/// What it does and what must be set up first, as comments.
fn head(template: &FlowTemplate) -> String {
    const WIDTH: usize = 118;
    let mut lines = wrapped(&template.about, WIDTH);
    if !template.lookup_tables.is_empty() || !template.settings.is_empty() {
        lines.push(String::new());
        lines.push("Set up first:".to_owned());
    }
    for need in &template.lookup_tables {
        lines.extend(wrapped(&format!("- The lookup table \"{}\". {}", need.name, need.about), WIDTH));
        lines.extend(need.examples.iter().map(|(from, to)| format!("    {from},{to}")));
    }
    for need in &template.settings {
        let text = format!("- The setting {} of the {}: {}", need.name, need.side.as_str(), need.about);
        lines.extend(wrapped(&text, WIDTH));
    }
    lines.iter().map(|line| format!("# {line}").trim_end().to_owned() + "\n").collect()
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is always a line");
        if !last.is_empty() && last.chars().count() + word.chars().count() >= width {
            lines.push(word.to_owned());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_begins_a_file_that_says_it_to_the_letter() {
        for template in FlowTemplate::curated() {
            let file = FlowFile::new(&template.title, template.kind, "My shop", "My ERP", template.flow.clone());
            let text = format!("{}{}", head(template), to_yaml(&file.escaped()));
            let read: FlowFile = connectors::yaml(&text).unwrap_or_else(|error| panic!("{}: {error}\n{text}", template.name()));
            assert_eq!(read, file, "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= 140 || !line.starts_with('#')), "{text}");
        }
    }
}
