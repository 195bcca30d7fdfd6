//! The catalog is found by walking: one folder, one connector. It is embedded at build time, and every file is checked when it is loaded.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

use domain::mapping::{LookupSet, Plan};
use domain::record::RecordKind;
use include_dir::{Dir, include_dir};

use crate::connector::Connector;
use crate::manifest::{Absent, KindFile, Manifest, Request};
use crate::template::names;

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/catalog");

/// One thing that is wrong with a connector's files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {what}")]
pub struct CatalogError {
    pub file: String,
    pub what: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct CatalogErrors(pub Vec<CatalogError>);

impl fmt::Display for CatalogErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }
}

/// All connectors, by name.
#[derive(Debug)]
pub struct Catalog(BTreeMap<String, Connector>);

impl Catalog {
    /// The connectors that came with this build.
    ///
    /// # Panics
    /// Where one of them is broken; a test loads them all, so that such a build is never released.
    #[must_use]
    pub fn embedded() -> &'static Catalog {
        static CATALOG: OnceLock<Catalog> = OnceLock::new();
        CATALOG.get_or_init(|| {
            let folders = EMBEDDED.dirs().map(|folder| {
                let name = folder.path().display().to_string();
                let text = |file: &include_dir::File<'_>| {
                    let name = file.path().file_name()?.to_str()?.to_owned();
                    Some((name, file.contents_utf8()?.to_owned()))
                };
                (name, folder.files().filter_map(text).collect())
            });
            load(folders).unwrap_or_else(|errors| panic!("the embedded catalog is broken:\n{errors}"))
        })
    }

    /// The connectors of a folder on disk, for `crossdock connector lint`.
    ///
    /// # Errors
    /// Everything that is wrong with its files.
    pub fn load_dir(path: &Path) -> Result<Catalog, CatalogErrors> {
        let fail =
            |what: std::io::Error| CatalogErrors(vec![CatalogError { file: path.display().to_string(), what: what.to_string() }]);
        let mut folders = Vec::new();
        for folder in std::fs::read_dir(path).map_err(fail)? {
            let folder = folder.map_err(fail)?;
            if !folder.path().is_dir() {
                continue;
            }
            let mut files = HashMap::new();
            for file in std::fs::read_dir(folder.path()).map_err(fail)? {
                let file = file.map_err(fail)?;
                if file.path().is_file() {
                    files.insert(
                        file.file_name().to_string_lossy().into_owned(),
                        std::fs::read_to_string(file.path()).map_err(fail)?,
                    );
                }
            }
            folders.push((folder.file_name().to_string_lossy().into_owned(), files));
        }
        load(folders.into_iter())
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Connector> {
        self.0.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Connector> {
        self.0.values()
    }
}

fn load(folders: impl Iterator<Item = (String, HashMap<String, String>)>) -> Result<Catalog, CatalogErrors> {
    let mut connectors = BTreeMap::new();
    let mut errors = Vec::new();
    for (name, files) in folders {
        match connector(&name, files) {
            Ok(connector) => {
                connectors.insert(name, connector);
            }
            Err(broken) => errors.extend(broken),
        }
    }
    if errors.is_empty() { Ok(Catalog(connectors)) } else { Err(CatalogErrors(errors)) }
}

fn connector(folder: &str, mut files: HashMap<String, String>) -> Result<Connector, Vec<CatalogError>> {
    let fail = |file: &str, what: String| CatalogError { file: format!("{folder}/{file}"), what };
    let text = files.remove("connector.yaml").ok_or_else(|| vec![fail("connector.yaml", "the file is missing".into())])?;
    let manifest: Manifest = serde_saphyr::from_str(&text).map_err(|error| vec![fail("connector.yaml", error.to_string())])?;
    let mut errors: Vec<CatalogError> = check(folder, &manifest).into_iter().map(|what| fail("connector.yaml", what)).collect();
    let (mut read, mut write, mut tables) = (HashMap::new(), HashMap::new(), Vec::new());
    for kind in RecordKind::ALL {
        let file = format!("{kind}.yaml");
        let Some(text) = files.remove(&file) else { continue };
        let parsed: KindFile = match serde_saphyr::from_str(&text) {
            Ok(parsed) => parsed,
            Err(error) => {
                errors.push(fail(&file, error.to_string()));
                continue;
            }
        };
        let mut compile = |rules| Plan::compile(rules).map_err(|error| errors.push(fail(&file, error.to_string()))).ok();
        if !parsed.read.is_empty() {
            read.extend(compile(&parsed.read).map(|plan| (kind, plan)));
        }
        if !parsed.write.is_empty() {
            write.extend(compile(&parsed.write).map(|plan| (kind, (parsed.write, plan))));
        }
        tables.extend(parsed.tables);
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let tables: LookupSet = tables.into_iter().collect();
    Ok(Connector { manifest, read, write, tables, setup: files.remove("setup.md").unwrap_or_default() })
}

/// What serde cannot see: names that point nowhere.
fn check(folder: &str, manifest: &Manifest) -> Vec<String> {
    let mut errors = Vec::new();
    if manifest.name != folder {
        errors.push(format!("name is \"{}\", but the folder is \"{folder}\"", manifest.name));
    }
    if manifest.versions.iter().filter(|version| version.current).count() > 1 {
        errors.push("more than one version is current".into());
    }
    for (name, field) in manifest.settings.iter().chain(&manifest.credential) {
        if let Some(Err(error)) = field.pattern.as_deref().map(regex::Regex::new) {
            errors.push(format!("the pattern of {name} cannot be read: {error}"));
        }
    }
    let known = |name: &str| match name.strip_prefix("settings.") {
        Some(setting) => manifest.settings.contains_key(setting),
        None => matches!(name, "external_key" | "revision" | "idempotency_key" | "source_id" | "version"),
    };
    let mut requests: Vec<&Request> = Vec::new();
    for (kind, resource) in &manifest.resources {
        let absent = resource.proof.iter().flat_map(|proof| &proof.absent);
        if manifest.error.code.is_empty() && absent.into_iter().any(|absent| matches!(absent, Absent::Code(_))) {
            errors.push(format!("resources.{kind}.proof.absent names codes, but error.code does not say where they stand"));
        }
        requests.push(&resource.write.request);
        requests.extend(resource.proof.as_ref().map(|proof| &proof.request));
    }
    if let Some(hook) = &manifest.hook {
        requests.extend(hook.topics.values().filter_map(|topic| topic.fetch.as_ref()).map(|fetch| &fetch.request));
        for secret in hook.signature.secrets.iter().filter(|secret| !manifest.credential.contains_key(*secret)) {
            errors.push(format!("hook.signature names the secret \"{secret}\", which credential does not declare"));
        }
    }
    let mut templates: Vec<&str> =
        requests.iter().flat_map(|r| std::iter::once(r.path.as_str()).chain(r.headers.values().map(String::as_str))).collect();
    templates.extend(manifest.base_url.as_deref());
    templates.extend(manifest.headers.values().map(String::as_str));
    for template in templates {
        errors.extend(
            names(template).filter(|name| !known(name)).map(|name| format!("there is no \"{name}\" to put into \"{template}\"")),
        );
    }
    errors
}
