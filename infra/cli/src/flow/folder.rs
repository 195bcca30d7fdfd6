//! A folder of flows: a YAML file for each, and beside them `lookup_tables/<name>.csv`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use domain::flow::FlowFile;
use domain::lookup_table::{Entry, TableKind, sheet};

use crate::Failure;

/// A folder holds a tenant's flows, and nobody's disk.
const FILES_MAX: usize = 1_000;
const FLOW_BYTES_MAX: u64 = 1024 * 1024;
const TABLE_BYTES_MAX: u64 = 16 * 1024 * 1024;
pub const TABLES: &str = "lookup_tables";
/// Ends the name of a file of rates that say the other way round too.
const INVERTS: &str = ".inverts";

/// A flow, and the file that says it.
#[derive(Debug, Clone)]
pub struct FlowOnDisk {
    pub path: PathBuf,
    pub flow: FlowFile,
}

/// A lookup table, and the file that says it.
#[derive(Debug, Clone)]
pub struct TableOnDisk {
    pub path: PathBuf,
    pub name: String,
    pub kind: TableKind,
    pub inverts: bool,
    pub csv: String,
    pub entries: Vec<Entry>,
}

/// What a folder, or one file, says.
#[derive(Debug, Default)]
pub struct Folder {
    pub flows: Vec<FlowOnDisk>,
    pub tables: Vec<TableOnDisk>,
}

impl Folder {
    /// Everything that is wrong with it is said at once.
    ///
    /// # Errors
    /// Where a file cannot be read, or is no flow and no table.
    pub fn read(path: &Path, variables: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let is_folder = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?.is_dir();
        let flows = if is_folder { listed(path, &["yaml", "yml"])? } else { vec![path.to_owned()] };
        let tables = path.join(TABLES);
        let tables = if is_folder && tables.is_dir() { listed(&tables, &["csv"])? } else { vec![] };
        let (mut folder, mut errors, mut used) = (Self::default(), Vec::new(), BTreeSet::new());
        for path in flows {
            match flow(&path, variables) {
                Ok((flow, names)) => {
                    used.extend(names);
                    folder.flows.push(FlowOnDisk { path, flow });
                }
                Err(error) => errors.push(error.to_string()),
            }
        }
        for path in tables {
            match table(&path) {
                Ok(table) => folder.tables.push(table),
                Err(error) => errors.push(error.to_string()),
            }
        }
        let mut names: BTreeMap<&str, &Path> = BTreeMap::new();
        for one in &folder.flows {
            if let Some(other) = names.insert(&one.flow.name, &one.path) {
                errors.push(format!("{} and {} both say the flow \"{}\"", other.display(), one.path.display(), one.flow.name));
            }
        }
        if errors.is_empty() {
            let unused = variables.keys().filter(|name| !used.contains(*name));
            errors.extend(unused.map(|name| format!("no file uses the variable {name} of --var: look at its name")));
        }
        if errors.is_empty() && folder.flows.is_empty() && folder.tables.is_empty() {
            errors.push(format!("{} holds no flow: a flow is a file that ends with .yaml", path.display()));
        }
        if errors.is_empty() { Ok(folder) } else { Err(errors.join("\n").into()) }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    format!("{} cannot be read: {error}", path.display())
}

/// The files of a folder that end so, in the order of their names.
pub fn listed(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
        let path = entry.map_err(|error| unreadable(folder, &error))?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let is_one = path.extension().is_some_and(|ending| endings.iter().any(|one| ending == *one));
        if is_one && !is_hidden && path.is_file() {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            return Err(format!("{} holds more than {FILES_MAX} files: divide it", folder.display()).into());
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn text(path: &Path, bytes_max: u64) -> Result<String, String> {
    let bytes = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?.len();
    if bytes > bytes_max {
        return Err(format!("{} is longer than {bytes_max} bytes", path.display()));
    }
    std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))
}

/// A flow as its file says it, before its variables have values.
///
/// # Errors
/// Where the file cannot be read or is no flow.
pub fn unfilled(path: &Path) -> Result<FlowFile, Failure> {
    let flow: FlowFile = connectors::yaml(&text(path, FLOW_BYTES_MAX)?).map_err(|error| format!("{}:{error}", path.display()))?;
    Ok(flow)
}

fn flow(path: &Path, variables: &BTreeMap<String, String>) -> Result<(FlowFile, BTreeSet<String>), Failure> {
    let said = |error: domain::flow::FileError| format!("{}: {error}", path.display());
    let (flow, used) = unfilled(path)?.filled(variables).map_err(said)?;
    flow.check().map_err(said)?;
    Ok((flow, used))
}

fn table(path: &Path) -> Result<TableOnDisk, Failure> {
    let stem =
        path.file_stem().and_then(|stem| stem.to_str()).ok_or_else(|| format!("{}: its name is no text", path.display()))?;
    let (stem, inverts) = stem.strip_suffix(INVERTS).map_or((stem, false), |stem| (stem, true));
    let name = decoded(stem).ok_or_else(|| format!("{}: its name has a % that is followed by no two digits", path.display()))?;
    let csv = text(path, TABLE_BYTES_MAX)?;
    let kind = kind_of(&csv);
    if inverts && kind != TableKind::Rates {
        return Err(
            format!("{}: only rates say the other way round; without {INVERTS} it is a table of {kind}", path.display()).into()
        );
    }
    let sheet = sheet::read(kind, &csv);
    if sheet.bad.count > 0 {
        let bad = sheet.bad.rows.iter().take(10).map(|bad| format!("{}:{}: {}", path.display(), bad.line, bad.what));
        let more = sheet.bad.count.saturating_sub(10);
        let more = (more > 0).then(|| format!("and {more} more bad rows"));
        return Err(bad.chain(more).collect::<Vec<_>>().join("\n").into());
    }
    let entries = sheet.rows.into_iter().map(|(_, entry)| entry).collect();
    Ok(TableOnDisk { path: path.to_owned(), name, kind, inverts, csv, entries })
}

/// By the header, which the API writes: rates have a rate, units a factor.
fn kind_of(csv: &str) -> TableKind {
    let header = csv.trim_start_matches('\u{feff}').lines().next().unwrap_or_default().to_lowercase();
    let has = |name: &str| header.split([',', ';', '\t']).any(|cell| cell.trim().trim_matches('"') == name);
    if has("rate") {
        TableKind::Rates
    } else if has("factor") {
        TableKind::Units
    } else {
        TableKind::Codes
    }
}

/// The name of the file of a table. What a file's name cannot have is written as % and two digits.
pub fn table_file(name: &str, inverts: bool) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b" -_()".contains(&byte) || byte >= 0x80;
    let mut bytes = Vec::with_capacity(name.len());
    for byte in name.bytes() {
        if is_plain(byte) {
            bytes.push(byte);
        } else {
            bytes.extend(format!("%{byte:02X}").into_bytes());
        }
    }
    let stem = String::from_utf8_lossy(&bytes).into_owned();
    format!("{stem}{}.csv", if inverts { INVERTS } else { "" })
}

fn decoded(stem: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(stem.len()), stem.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok())?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

/// The name of the file of a flow: what people call it, in letters that every disk takes.
pub fn flow_file(name: &str) -> String {
    let mut slug = String::new();
    for c in name.to_lowercase().chars() {
        if c.is_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug: String = slug.trim_end_matches('-').chars().take(60).collect();
    if slug.is_empty() { "flow".to_owned() } else { slug }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tables_name_comes_back_from_its_file() {
        for name in
            ["SKUs", "Stripe products", "../../etc/passwd", "a.inverts", "Zölle & Co", "50%", "a/b", ".hidden", "c:\\x", ""]
        {
            for inverts in [false, true] {
                let file = table_file(name, inverts);
                assert!(!file.contains(['/', '\\', ':']) && !file.starts_with(".."), "{file}");
                let stem = file.strip_suffix(".csv").unwrap();
                let (stem, is_inverse) = stem.strip_suffix(INVERTS).map_or((stem, false), |stem| (stem, true));
                assert_eq!((decoded(stem).as_deref(), is_inverse), (Some(name), inverts), "{file}");
            }
        }
        assert_eq!(decoded("50%"), None);
    }

    #[test]
    fn a_flow_has_a_file_that_every_disk_takes() {
        let names = ["Orders: shop → ERP", "../../x", "Bestellungen für Büro", "!!!", "CON "];
        assert_eq!(names.map(flow_file), ["orders-shop-erp", "x", "bestellungen-für-büro", "flow", "con"]);
    }

    #[test]
    fn a_table_is_known_by_its_header() {
        assert_eq!(kind_of("from,to\na,b\n"), TableKind::Codes);
        assert_eq!(kind_of("HAT,88\n"), TableKind::Codes);
        assert_eq!(kind_of("\u{feff}From;To;Date;Rate\n"), TableKind::Rates);
        assert_eq!(kind_of("item,from,to,factor,effective_from,effective_until\n"), TableKind::Units);
    }
}
