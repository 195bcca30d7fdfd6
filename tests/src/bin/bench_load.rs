//! Makes 1,000 connector folders of those of the catalog, under other names, opens them as a catalog and loads each: what opening costs, what
//! loading one costs, and how much memory they take. Opening reads no folder, so it costs the same for ten large ones as for ten small.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use connectors::Catalog;
use serde_json::{Value, json};
use tests::bench::{Failure, Limit, end, quantile, report};

/// What loading one folder may cost.
const LOAD_MAX: Duration = Duration::from_millis(5);

#[derive(Parser)]
#[command(about = "What a large catalog costs; `cargo xtask bench load` builds it first")]
struct Arguments {
    #[arg(long, default_value_t = 1_000)]
    connectors: usize,
    /// Folders to copy.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../connectors/catalog"))]
    catalog: PathBuf,
    /// Writes the numbers here, too.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    end(run(&Arguments::parse()))
}

/// A folder that is gone at the end.
struct Made(PathBuf);

impl Drop for Made {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// So many folders, of each of the catalog's in turn.
fn make(arguments: &Arguments) -> Result<Made, Failure> {
    let made = Made(std::env::temp_dir().join(format!("crossdock-bench-load-{}", std::process::id())));
    let mut originals: Vec<PathBuf> =
        std::fs::read_dir(&arguments.catalog)?.map(|entry| Ok(entry?.path())).collect::<Result<_, Failure>>()?;
    originals.retain(|folder| folder.join("connector.yaml").is_file());
    originals.sort();
    if originals.is_empty() {
        return Err(format!("{} has no connector to copy", arguments.catalog.display()).into());
    }
    for (number, original) in originals.iter().cycle().take(arguments.connectors).enumerate() {
        let name = original.file_name().and_then(|name| name.to_str()).ok_or("a connector's folder has a plain name")?;
        copy(
            original,
            &made.0.join(format!("{name}-{number:04}")),
            &format!("name: {name}\n"),
            &format!("name: {name}-{number:04}\n"),
        )?;
    }
    Ok(made)
}

fn copy(from: &Path, to: &Path, name: &str, new_name: &str) -> Result<(), Failure> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let (path, target) = {
            let entry = entry?;
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            copy(&path, &target, name, new_name)?;
        } else if path.ends_with("connector.yaml") {
            std::fs::write(target, std::fs::read_to_string(&path)?.replacen(name, new_name, 1))?;
        } else {
            std::fs::copy(&path, target)?;
        }
    }
    Ok(())
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let made = make(arguments)?;
    let memory_before = memory_bytes()?;
    let begin = Instant::now();
    let catalog = Catalog::open(&made.0)?;
    let names: Vec<&str> = catalog.names().collect();
    let (opened, memory_opened) = (begin.elapsed(), memory_bytes()?);
    let mut all = Vec::with_capacity(names.len());
    let mut by_original: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for name in names {
        let begin = Instant::now();
        let connector = catalog.find(name).ok_or("what was listed is there")?;
        let took = begin.elapsed();
        connector.map_err(|errors| format!("a copy does not load: {errors}"))?;
        all.push(took);
        by_original.entry(name.rsplit_once('-').map_or(name, |(original, _)| original)).or_default().push(took);
    }
    let memory_loaded = memory_bytes()?;
    all.sort_unstable();
    by_original.values_mut().for_each(|took| took.sort_unstable());
    let medians: Vec<(&str, Duration)> = by_original.iter().map(|(name, took)| (*name, quantile(took, 0.5))).collect();
    let folders: serde_json::Map<String, Value> =
        medians.iter().map(|(name, median)| ((*name).to_owned(), json!(ms(*median)))).collect();
    let limit =
        |(name, median): &(&str, Duration)| Limit::at_most(format!("Loading {name}, median"), ms(*median), ms(LOAD_MAX), "ms");
    let limits = medians.iter().map(limit).collect();
    let numbers = json!({
        "connectors": all.len(),
        "open_ms": ms(opened),
        "load_ms": {"median": ms(quantile(&all, 0.5)), "p99": ms(quantile(&all, 0.99)), "max": ms(quantile(&all, 1.0))},
        "load_median_ms_by_folder": folders,
        "load_all_s": all.iter().sum::<Duration>().as_secs_f64(),
        "memory_opened_mb": (memory_opened - memory_before.min(memory_opened)) as f64 / 1e6,
        "memory_loaded_mb": (memory_loaded - memory_before.min(memory_loaded)) as f64 / 1e6,
    });
    report(numbers, limits, arguments.json.as_deref())
}

/// Thousandths of a millisecond are enough to read.
fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// What is resident now (`VmRSS`, proc(5)).
fn memory_bytes() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS")).ok_or("/proc/self/status has VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("VmRSS has a value")?.parse::<u64>()? * 1_024)
}
