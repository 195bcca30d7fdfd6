//! Every connector of the catalog, held to what its own folder says: its samples read to what lies beside them.

use std::path::PathBuf;

use connectors::Catalog;
use domain::canonical;
use domain::mapping::Vars;
use domain::record::RecordKind;
use domain::value::{Limits, Value};

/// Of this run, not of the build: a build may be shared by several clones.
fn catalog() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the crate is")).join("catalog")
}

#[test]
fn the_catalog_loads_and_the_embedded_one_is_the_same() {
    let on_disk = Catalog::open(&catalog()).unwrap_or_else(|errors| panic!("{errors}"));
    let broken: Vec<String> = on_disk.unavailable().map(|(_, errors)| errors.to_string()).collect();
    assert_eq!(broken, [""; 0]);
    let names = |catalog: &Catalog| catalog.iter().map(|connector| connector.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&on_disk), names(Catalog::embedded()));
}

/// `samples/<kind>_*.in.json` reads to `<kind>_*.out.json`. `UPDATE_SAMPLES=1` writes them anew, for a person to look at.
#[test]
fn samples_read_to_the_canonical_records_beside_them() {
    let mut seen = 0;
    let on_disk = Catalog::open(&catalog()).unwrap();
    for connector in on_disk.iter() {
        let folder = catalog().join(connector.name()).join("samples");
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // What is written is a canonical record already.
            let Some(stem) = name.strip_suffix(".in.json").filter(|stem| !stem.ends_with("_write")) else { continue };
            let kind = RecordKind::ALL.into_iter().find(|kind| stem.starts_with(kind.as_str())).unwrap();
            let source = Value::parse(&std::fs::read(entry.path()).unwrap(), &Limits::DEFAULT).unwrap();
            let document = connector.read_plan(kind).unwrap().apply(&source, connector.tables(), &Vars::default()).unwrap();
            canonical::check(kind, &document).unwrap_or_else(|issues| panic!("{}/{name}: {issues:?}", connector.name()));
            let pretty = serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&document.to_json()).unwrap())
                .unwrap()
                + "\n";
            let out = folder.join(format!("{stem}.out.json"));
            if std::env::var_os("UPDATE_SAMPLES").is_some() {
                std::fs::write(&out, &pretty).unwrap();
            }
            assert_eq!(
                std::fs::read_to_string(&out).unwrap_or_default(),
                pretty,
                "{}: run with UPDATE_SAMPLES=1 and look at the difference",
                out.display()
            );
            seen += 1;
        }
    }
    assert!(seen >= 2, "only {seen} samples");
}

/// Samples reach some rules only; this holds for all of them, so that no record fails for a word that its mapping made up.
#[test]
fn mappings_read_and_write_only_what_the_canonical_model_has_a_word_for() {
    let mut unknown = Vec::new();
    for connector in Catalog::open(&catalog()).unwrap().iter() {
        for kind in RecordKind::ALL {
            let made = connector.read_plan(kind).map(|plan| plan.writes()).unwrap_or_default();
            let used = connector.write_plan(kind).map(|plan| plan.reads()).unwrap_or_default();
            // `each: $root` makes a list of the document: what it reads of that begins with `[]`.
            let used = used
                .iter()
                .filter(|field| !field.starts_with('$') && *field != "[]")
                .map(|field| field.trim_start_matches("[]."));
            let fields = made.iter().map(String::as_str).chain(used);
            let name = connector.name();
            unknown.extend(
                fields
                    .filter(|field| canonical::shape(kind).at(field).is_none())
                    .map(|field| format!("{name}/{kind}.yaml: {field}")),
            );
        }
    }
    assert_eq!(unknown, [""; 0]);
}

/// Every vendor bounds an answer: what changed since a moment would end with the first one, and the rest would be taken for not there.
#[test]
fn what_is_read_from_a_moment_on_is_read_in_pages() {
    let mut in_one = Vec::new();
    for connector in Catalog::open(&catalog()).unwrap().iter() {
        for (kind, resource) in &connector.manifest.resources {
            let read = resource.read.as_ref().filter(|read| read.since.is_some() && read.page.is_none());
            in_one.extend(read.map(|_| format!("{}/{kind}", connector.name())));
        }
    }
    assert_eq!(in_one, [""; 0]);
}

/// `UPDATE_SAMPLES=1` writes it anew.
#[test]
fn the_schema_for_editors_is_fresh() {
    let file = catalog().with_file_name("schema.json");
    if std::env::var_os("UPDATE_SAMPLES").is_some() {
        std::fs::write(&file, connectors::schema()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), connectors::schema(), "run with UPDATE_SAMPLES=1");
}
