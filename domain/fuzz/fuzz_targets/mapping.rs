//! Any rules over any document: the first line is the rules, the rest the document. Nothing panics, nothing is written beyond its bounds, and a
//! document in bytes maps as the same document in memory does.

#![no_main]

use domain::mapping::{LookupSet, Plan, Rules, Untranslated, Vars};
use domain::value::{Arena, Limits, Value};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let (Some(rules), Some(document)) = (parts.next(), parts.next()) else { return };
    let Ok(rules) = serde_json::from_slice::<Rules>(rules) else { return };
    let Ok(plan) = Plan::compile(&rules) else { return };
    let entries = [("a", "1"), ("EUR/USD", "1.1")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let tables: LookupSet = [("T".to_owned(), entries.into())].into_iter().collect();
    let (vars, mut out) = (Vars::default(), String::new());
    let bytes = plan.translate(document, &Limits::DEFAULT, &tables, &vars, &mut Arena::new(), &mut out).map(|()| out);
    // What is not JSON as a whole, or says a field twice that nobody reads, has no counterpart in memory.
    let Ok(document) = Value::parse(document, &Limits::DEFAULT) else { return };
    let memory = plan.apply(&document, &tables, &vars).map(|out| out.to_json()).map_err(Untranslated::Unmapped);
    assert_eq!(bytes, memory);
});
