//! The catalog is found by walking: one folder, one connector. What came with this build is embedded; another folder may be opened.
//! A connector is read when it is first asked for, and a broken one is unavailable with its errors and stops nobody else.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::mapping::{LookupSet, Plan, Rules};
use domain::record::RecordKind;
use include_dir::{Dir, include_dir};

use crate::check::check;
use crate::connector::{Connector, MANIFEST_FILE, Mappings};
use crate::manifest::{KindFile, Manifest};
use crate::parse::{ParseError, yaml};
use crate::verified::{VERIFIED_FILE, Verified};

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/catalog");

/// One thing that is wrong with a connector's files: `acme/connector.yaml:12:3: there is no …`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct CatalogError {
    pub file: String,
    /// From 1, where the place is known.
    pub at: Option<(u64, u64)>,
    pub what: String,
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct CatalogErrors(pub Vec<CatalogError>);

impl fmt::Display for CatalogErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }
}

#[derive(Debug)]
enum Folder {
    Embedded(&'static Dir<'static>),
    Disk(PathBuf),
}

#[derive(Debug)]
struct Entry {
    folder: Folder,
    loaded: OnceLock<Result<Box<Connector>, CatalogErrors>>,
}

/// All connectors, by name.
#[derive(Debug)]
pub struct Catalog(BTreeMap<String, Entry>);

impl Catalog {
    /// The connectors that came with this build.
    #[must_use]
    pub fn embedded() -> &'static Catalog {
        static CATALOG: OnceLock<Catalog> = OnceLock::new();
        CATALOG.get_or_init(|| {
            let folders = EMBEDDED.dirs().map(|folder| (folder.path().display().to_string(), Folder::Embedded(folder)));
            Catalog(folders.map(entry).collect())
        })
    }

    /// The connectors that came with this build and those of the installation's own folder; one of a name that we have too takes the place
    /// of ours. They live as long as the process.
    ///
    /// # Errors
    /// Where the folder cannot be listed.
    pub fn installed(own: Option<&Path>) -> Result<&'static Catalog, CatalogErrors> {
        let Some(own) = own else { return Ok(Self::embedded()) };
        let folders = EMBEDDED.dirs().map(|folder| (folder.path().display().to_string(), Folder::Embedded(folder)));
        let mut all: BTreeMap<String, Entry> = folders.map(entry).collect();
        all.extend(Self::open(own)?.0);
        Ok(Box::leak(Box::new(Catalog(all))))
    }

    /// The connectors of a folder on disk, each a folder of its own. Nothing of them is read yet.
    ///
    /// # Errors
    /// Where the folder cannot be listed.
    pub fn open(path: &Path) -> Result<Catalog, CatalogErrors> {
        let fail = |error: std::io::Error| CatalogErrors(vec![io_error(path, &error)]);
        let mut folders = Vec::new();
        for folder in std::fs::read_dir(path).map_err(fail)? {
            let folder = folder.map_err(fail)?;
            if folder.path().is_dir() {
                folders.push((folder.file_name().to_string_lossy().into_owned(), Folder::Disk(folder.path())));
            }
        }
        Ok(Catalog(folders.into_iter().map(entry).collect()))
    }

    /// A connector that can be used.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Connector> {
        self.find(name)?.ok()
    }

    /// A connector, or what is wrong with its files; `None` where there is none of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Result<&Connector, &CatalogErrors>> {
        let (name, entry) = self.0.get_key_value(name)?;
        let loaded = entry.loaded.get_or_init(|| load(name, &entry.folder).map(Box::new));
        Some(loaded.as_ref().map(Box::as_ref))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Those that can be used.
    pub fn iter(&self) -> impl Iterator<Item = &Connector> {
        self.names().filter_map(|name| self.get(name))
    }

    /// Those that cannot be used, with what is wrong with their files.
    pub fn unavailable(&self) -> impl Iterator<Item = (&str, &CatalogErrors)> {
        self.names().filter_map(|name| Some((name, self.find(name)?.err()?)))
    }
}

fn entry((name, folder): (String, Folder)) -> (String, Entry) {
    (name, Entry { folder, loaded: OnceLock::new() })
}

fn io_error(path: &Path, error: &std::io::Error) -> CatalogError {
    CatalogError { file: path.display().to_string(), at: None, what: error.to_string() }
}

/// The files of a folder that are text, by name; those of `samples/` as `samples/<name>`.
fn files(folder: &Folder) -> Result<HashMap<String, String>, CatalogError> {
    match folder {
        Folder::Embedded(dir) => {
            let text = |prefix: &'static str| {
                move |file: &include_dir::File<'static>| {
                    let name = file.path().file_name()?.to_str()?;
                    Some((format!("{prefix}{name}"), file.contents_utf8()?.to_owned()))
                }
            };
            let samples = dir.dirs().filter(|sub| sub.path().ends_with("samples")).flat_map(Dir::files);
            Ok(dir.files().filter_map(text("")).chain(samples.filter_map(text("samples/"))).collect())
        }
        Folder::Disk(path) => {
            let mut files = HashMap::new();
            for (prefix, path) in [("", path.clone()), ("samples/", path.join("samples"))] {
                if !prefix.is_empty() && !path.is_dir() {
                    continue;
                }
                for file in std::fs::read_dir(&path).map_err(|error| io_error(&path, &error))? {
                    let file = file.map_err(|error| io_error(&path, &error))?;
                    if file.path().is_file() {
                        let text = std::fs::read_to_string(file.path()).map_err(|error| io_error(&file.path(), &error))?;
                        files.insert(format!("{prefix}{}", file.file_name().to_string_lossy()), text);
                    }
                }
            }
            Ok(files)
        }
    }
}

fn load(name: &str, folder: &Folder) -> Result<Connector, CatalogErrors> {
    let files = files(folder).map_err(|error| CatalogErrors(vec![error]))?;
    Connector::from_files(name, files)
}

impl Connector {
    /// A connector out of the files of its folder: `connector.yaml`, `<kind>.yaml`, `verified.yaml`, `setup.md`, `samples/…`.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn from_files(folder: &str, files: HashMap<String, String>) -> Result<Connector, CatalogErrors> {
        let fail = |file: &str, what: String| CatalogError { file: format!("{folder}/{file}"), at: None, what };
        let place = |file: &str, error: ParseError| CatalogError {
            file: format!("{folder}/{file}"),
            at: (error.line > 0).then_some((error.line, error.column)),
            what: error.what,
        };
        let text =
            files.get(MANIFEST_FILE).ok_or_else(|| CatalogErrors(vec![fail(MANIFEST_FILE, "the file is missing".into())]))?;
        let (manifest, kinds) = read(text, &files);
        let manifest = manifest.map_err(|error| CatalogErrors(vec![place(MANIFEST_FILE, error)]))?;
        let mut errors: Vec<CatalogError> = check(folder, &manifest).into_iter().map(|what| fail(MANIFEST_FILE, what)).collect();
        let (mut mappings, mut tables) = (Mappings::default(), Vec::new());
        for plans in kinds {
            let (kind, file) = (plans.kind, format!("{}.yaml", plans.kind));
            errors.extend(plans.broken.map(|error| place(&file, error)));
            errors.extend(plans.errors.into_iter().map(|what| fail(&file, what)));
            mappings.read.extend(plans.read.map(|read| (kind, read)));
            mappings.write.extend(plans.write.map(|write| (kind, write)));
            tables.extend(plans.tables);
        }
        errors.sort_by(|a, b| a.file.cmp(&b.file));
        mappings.tables = tables.into_iter().collect::<LookupSet>();
        let verified = files.get(VERIFIED_FILE).map_or(Ok(Vec::new()), |text| Verified::parse(text));
        let verified = verified.map_err(|error| errors.push(place(VERIFIED_FILE, error))).unwrap_or_default();
        if !errors.is_empty() {
            return Err(CatalogErrors(errors));
        }
        Ok(Connector::new(manifest, mappings, files, verified))
    }
}

/// What the file of one kind says, compiled.
struct KindPlans {
    kind: RecordKind,
    read: Option<(Rules, Plan)>,
    write: Option<(Rules, Plan)>,
    tables: Vec<(String, HashMap<String, String>)>,
    /// The file cannot be read.
    broken: Option<ParseError>,
    /// Its rules cannot be compiled.
    errors: Vec<String>,
}

impl KindPlans {
    fn read((kind, text): (RecordKind, &str)) -> Self {
        let mut plans = Self { kind, read: None, write: None, tables: vec![], broken: None, errors: vec![] };
        let parsed: KindFile = match yaml(text) {
            Ok(parsed) => parsed,
            Err(error) => return Self { broken: Some(error), ..plans },
        };
        let mut compile = |rules: Rules| {
            let plan = Plan::compile(&rules).map_err(|error| plans.errors.push(error.to_string())).ok();
            plan.map(|plan| (rules, plan))
        };
        let (read, write) = (parsed.read, parsed.write);
        let read = if read.is_empty() { None } else { compile(read) };
        let write = if write.is_empty() { None } else { compile(write) };
        plans.tables = parsed.tables.into_iter().collect();
        Self { read, write, ..plans }
    }
}

/// Reads the manifest and the mappings in two threads, the longest file first: the mappings are most of a folder, and no file knows another.
fn read(manifest: &str, files: &HashMap<String, String>) -> (Result<Manifest, ParseError>, Vec<KindPlans>) {
    let kind = |kind: RecordKind| Some((kind, files.get(&format!("{kind}.yaml"))?.as_str()));
    let mut kinds: Vec<(RecordKind, &str)> = RecordKind::ALL.into_iter().filter_map(kind).collect();
    kinds.sort_by_key(|(_, text)| std::cmp::Reverse(text.len()));
    let next = AtomicUsize::new(0);
    let read_on = || {
        let next = || kinds.get(next.fetch_add(1, Ordering::Relaxed));
        std::iter::from_fn(next).copied().map(KindPlans::read).collect::<Vec<_>>()
    };
    std::thread::scope(|threads| {
        let beside = threads.spawn(read_on);
        let manifest = yaml::<Manifest>(manifest);
        let mut plans = read_on();
        plans.extend(beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        // Whoever was faster, the folder says the same.
        plans.sort_by_key(|plans| plans.kind);
        (manifest, plans)
    })
}
