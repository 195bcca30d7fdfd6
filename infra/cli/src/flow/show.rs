//! A plan as people read it: what is made, what is changed and from what to what, and what stays.

use connectors::to_yaml;
use domain::flow::{Difference, Gates};
use serde_json::Value;

use super::plan::{Draft, FlowStep, Plan, TableStep};

/// Of a long mapping so many differences are shown; the rest are counted.
const DIFFERENCES_MAX: usize = 50;

impl Plan {
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        lines.extend(self.tables.iter().map(TableStep::line));
        for flow in &self.flows {
            flow.lines(&mut lines);
        }
        for gone in &self.retire {
            lines.push(format!("- retire     flow \"{}\", version {}: no file says it", gone.name, gone.version));
        }
        lines.push(self.sum());
        lines.join("\n")
    }

    fn sum(&self) -> String {
        if self.is_nothing() {
            return "Everything is as the files say.".to_owned();
        }
        let create = self.flows.iter().filter(|flow| flow.there.is_none()).count()
            + self.tables.iter().filter(|one| one.there.is_none()).count();
        let change = self.flows.iter().filter(|flow| flow.there.is_some() && !flow.is_nothing()).count()
            + self.tables.iter().filter(|one| one.there.is_some() && !one.is_nothing()).count();
        let all = self.flows.len() + self.tables.len();
        format!("{create} to create, {change} to change, {} to retire, {} as they are.", self.retire.len(), all - create - change)
    }
}

impl TableStep {
    /// What is done, in one line.
    pub fn line(&self) -> String {
        let (name, kind) = (&self.on_disk.name, self.on_disk.kind);
        match &self.there {
            None => format!("+ create     lookup table \"{name}\" of {kind}, {} entries", self.added),
            Some(_) if self.is_nothing() => format!("  unchanged  lookup table \"{name}\""),
            Some(there) => format!(
                "~ change     lookup table \"{name}\" of version {}: {} added, {} changed, {} removed",
                there.version, self.added, self.changed, self.removed
            ),
        }
    }
}

impl FlowStep {
    fn lines(&self, lines: &mut Vec<String>) {
        let (name, route) =
            (&self.flow.name, format!("{} from \"{}\" to \"{}\"", self.flow.kind, self.source.name, self.destination.name));
        let then = if self.publish { ", then publish it" } else { "" };
        lines.push(match (&self.there, &self.draft) {
            (None, _) => format!("+ create     flow \"{name}\", {route}, as a draft{then}"),
            (Some(_), _) if self.is_nothing() => format!("  unchanged  flow \"{name}\""),
            (Some(there), Draft::Stays) => {
                let version = there.newest.as_ref().map_or(0, |newest| newest.version);
                let what = if self.publish { format!(": publish its draft {version}") } else { String::new() };
                format!("~ change     flow \"{name}\"{what}")
            }
            (Some(_), Draft::First) => format!("~ change     flow \"{name}\", its first draft{then}"),
            (Some(_), Draft::Over { version, .. }) => {
                format!("~ change     flow \"{name}\" of version {version}, as a draft{then}")
            }
        });
        if let (Some(gates), Some(there)) = (self.gates, &self.there) {
            lines.extend(gate_lines(there.gates, gates));
        }
        if let Draft::Over { differences, .. } = &self.draft {
            for one in differences.iter().take(DIFFERENCES_MAX) {
                difference(one, lines);
            }
            if differences.len() > DIFFERENCES_MAX {
                lines.push(format!("      and {} more", differences.len() - DIFFERENCES_MAX));
            }
        }
        lines.extend(self.remarks.iter().map(|remark| format!("      ({remark})")));
    }
}

fn gate_lines(before: Gates, after: Gates) -> Vec<String> {
    let gate = |name: &str, before: bool, after: bool| {
        let word = |is: bool| if is { "yes" } else { "no" };
        (before != after).then(|| format!("      gates.{name}: {} -> {}", word(before), word(after)))
    };
    let gates = [
        gate("needs_approval", before.needs_approval, after.needs_approval),
        gate("needs_replay", before.needs_replay, after.needs_replay),
    ];
    gates.into_iter().flatten().collect()
}

fn difference(one: &Difference, lines: &mut Vec<String>) {
    let is_short = |value: &Option<Value>| value.as_ref().is_none_or(|value| !value.is_object() && !value.is_array());
    if let (Some(before), Some(after)) = (&one.before, &one.after)
        && is_short(&one.before)
        && is_short(&one.after)
    {
        lines.push(format!("      {}: {} -> {}", one.field, to_yaml(before).trim_end(), to_yaml(after).trim_end()));
        return;
    }
    lines.push(format!("      {}:", one.field));
    for (sign, value) in [('-', &one.before), ('+', &one.after)] {
        let Some(value) = value else { continue };
        // Several rules of one field stand below each other; one alone stands on its line.
        let value = if value.is_object() { Value::Array(vec![value.clone()]) } else { value.clone() };
        lines.extend(to_yaml(&value).lines().map(|line| format!("      {sign} {line}")));
    }
}
