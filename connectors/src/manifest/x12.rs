//! `x12`: what is agreed on with a partner whose files are X12. Every text is a template, so that a tenant says it by its settings.

use std::collections::BTreeMap;

use domain::record::RecordKind;
use schemars::JsonSchema;
use serde::Deserialize;

/// One partner: who we are to each other, how interchanges are written, and where.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct X12 {
    pub us: X12Party,
    pub partner: X12Party,
    /// GS08: `004010` where empty, perhaps with the name of an industry's guide behind.
    pub release: String,
    /// ISA15: `P` or `T`. An interchange that says another one is not taken.
    pub usage: String,
    /// Of what we write: element, component and segment separator in one text, perhaps the repetition separator behind; `*>~` where empty.
    #[serde(default)]
    pub separators: String,
    /// What follows each segment that we write: `none` where empty, `lf` or `crlf`.
    #[serde(default)]
    pub line_break: String,
    /// Hours within which the partner acknowledges a group of ours; 24 where empty.
    #[serde(default)]
    pub acknowledge_within_h: String,
    /// The folder that 997s are written to.
    pub out: String,
    /// Which sets become records of which kind: `{ "850": order }`. Any other set is rejected; 997s are always read.
    #[schemars(with = "BTreeMap<String, String>")]
    pub takes: BTreeMap<String, RecordKind>,
}

/// Ids of one side.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct X12Party {
    /// `01`, `12`, `ZZ`.
    pub qualifier: String,
    pub id: String,
    /// The id of groups (GS02, GS03); the same as `id` where empty.
    #[serde(default)]
    pub group: String,
}

impl X12 {
    /// All of its templates.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &String> {
        [
            &self.us.qualifier,
            &self.us.id,
            &self.us.group,
            &self.partner.qualifier,
            &self.partner.id,
            &self.partner.group,
            &self.release,
            &self.usage,
            &self.separators,
            &self.line_break,
            &self.acknowledge_within_h,
            &self.out,
        ]
        .into_iter()
    }
}
