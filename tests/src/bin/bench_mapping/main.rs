//! What a mapping costs beside the same work written by hand: bytes in, parsed, mapped, bytes out; `cargo xtask bench mapping`.
//!
//! Both sides read the same orders and must write the same bytes, which is checked before anything is measured. The one by hand knows its
//! document as structs: serde with borrowed texts, `rust_decimal`, the same lookup tables. It is the limit that an engine of rules cannot
//! reach; how near the plan comes is `ratio_to_serde`. Both run in turns, so that a slower moment of the machine is one of both.

mod by_hand;
mod order;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use domain::mapping::{LookupSet, Plan, Rules, Untranslated, Vars};
use domain::value::{Arena, Limits};
use serde_json::json;
use tests::bench::{Failure, Limit, end, measured, report};

#[derive(Parser)]
struct Arguments {
    /// CPU seconds for each of the two and each document.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Also write the result here.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// So many turns for each side.
const TURNS: u32 = 10;
/// Orders with twelve lines that are mapped in a second of CPU time, at the least.
const DOCS_PER_CPU_S_MIN: f64 = 15_000.0;
/// The least share of what the same work written by hand does in that time, percent: a third.
const OF_SERDE_PCT_MIN: f64 = 100.0 / 3.0;

fn main() -> ExitCode {
    end(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let rules: Rules = serde_json::from_str(order::RULES)?;
    let plan = Plan::compile(&rules)?;
    let tables = order::tables();
    let lookups: LookupSet = tables.clone().into_iter().collect();
    let vars = Vars::default();
    let mut documents = serde_json::Map::new();
    // 1 MB of one order are more lines than a real one has; the limits of a document allow it.
    for (name, lines, bytes) in
        [("order_12_lines", 12, None), ("order_500_lines", 500, None), ("payload_1_mb", 12, Some(1_000_000))]
    {
        let document = order::document(lines, bytes);
        let mut ours = Side::new(|arena, out| {
            plan.translate(&document, &Limits::DEFAULT, &lookups, &vars, arena, out).map_err(|why| match why {
                Untranslated::Unreadable(error) => error.to_string(),
                Untranslated::Unmapped(issues) => issues.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            })
        });
        let mut theirs = Side::new(|_, out| by_hand::map(&document, &tables, out).map_err(|error| error.to_string()));
        let (written, expected) = (ours.once()?, theirs.once()?);
        if written != expected {
            let at = written.bytes().zip(expected.bytes()).take_while(|(a, b)| a == b).count();
            let around = |text: &str| {
                String::from_utf8_lossy(&text.as_bytes()[at.saturating_sub(60)..text.len().min(at + 60)]).into_owned()
            };
            return Err(format!("the two write different orders:\n{}\n{}", around(&written), around(&expected)).into());
        }
        let turn = Duration::from_secs_f64(arguments.seconds / f64::from(TURNS));
        for _ in 0..TURNS {
            ours.work(turn)?;
            theirs.work(turn)?;
        }
        documents.insert(
            name.to_owned(),
            json!({
                "bytes_in": document.len(),
                "bytes_out": written.len(),
                "docs_per_cpu_s": ours.per_cpu_s().round(),
                "docs_per_cpu_s_serde": theirs.per_cpu_s().round(),
                "us_per_doc": (1e8 / ours.per_cpu_s()).round() / 100.0,
                "mb_per_cpu_s": (ours.per_cpu_s() * document.len() as f64 / 1e5).round() / 10.0,
                "ratio_to_serde": (1e3 * ours.per_cpu_s() / theirs.per_cpu_s()).round() / 1e3,
            }),
        );
    }
    let first = &documents["order_12_lines"];
    let of_serde = |(name, numbers): (&String, &serde_json::Value)| {
        let pct = 100.0 * measured(numbers, "ratio_to_serde");
        Limit::at_least(format!("Documents mapped, of what is done by hand, {name}"), pct, OF_SERDE_PCT_MIN, "%")
    };
    let mut limits: Vec<Limit> = documents.iter().map(of_serde).collect();
    let per_cpu_s = measured(first, "docs_per_cpu_s");
    limits.insert(0, Limit::at_least("Orders with twelve lines mapped", per_cpu_s, DOCS_PER_CPU_S_MIN, "a second of CPU time"));
    let numbers = json!({
        "rules": order::count(&rules),
        "reads": plan.reads().len(),
        "docs_per_cpu_s": first["docs_per_cpu_s"],
        "ratio_to_serde": first["ratio_to_serde"],
        "documents": documents,
    });
    report(numbers, limits, arguments.json.as_deref())
}

/// One of the two, and what it has done so far.
struct Side<F> {
    map: F,
    arena: Arena,
    out: String,
    documents: u64,
    cpu: Duration,
}

impl<F: FnMut(&mut Arena, &mut String) -> Result<(), String>> Side<F> {
    fn new(map: F) -> Self {
        Self { map, arena: Arena::new(), out: String::new(), documents: 0, cpu: Duration::ZERO }
    }

    fn once(&mut self) -> Result<String, Failure> {
        self.out.clear();
        (self.map)(&mut self.arena, &mut self.out)?;
        Ok(self.out.clone())
    }

    fn work(&mut self, turn: Duration) -> Result<(), Failure> {
        let begin = cpu()?;
        loop {
            // The clock is a file of the kernel: not looked at for each document.
            for _ in 0..(1 + 20_000_000 / (self.out.len() + 1)).min(200) {
                self.out.clear();
                (self.map)(&mut self.arena, &mut self.out)?;
                std::hint::black_box(&self.out);
                self.documents += 1;
            }
            let spent = cpu()?.saturating_sub(begin);
            if spent >= turn {
                self.cpu += spent;
                return Ok(());
            }
        }
    }

    fn per_cpu_s(&self) -> f64 {
        self.documents as f64 / self.cpu.as_secs_f64()
    }
}

/// What this thread has run so far, in nanoseconds (the scheduler's first number of it).
fn cpu() -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let run = stat.split(' ').next().ok_or("/proc/thread-self/schedstat has a first number")?;
    Ok(Duration::from_nanos(run.parse()?))
}
