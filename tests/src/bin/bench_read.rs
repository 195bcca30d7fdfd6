//! Reads 100,000 records of one kilobyte over 200 cursor pages from a server in a process of its own, with no transformation, and says what
//! it cost: records a second of CPU time, and the most memory that was in use. The whole way is measured: client, door, pages, records.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use connectors::{Connector, Position};
use domain::record::RecordKind;
use domain::secret::SecretFields;
use infra::outbound::{AllowList, Outbound};
use serde_json::json;
use tests::bench::{Failure, Limit, end, measured, report};
use workers::vendor::Vendor;

/// Records of a kilobyte that are read in a second of CPU time, at the least.
const RECORDS_PER_CPU_S_MIN: f64 = 100_000.0;
/// The most memory that it may take meanwhile, MB.
const MEMORY_MB_MAX: f64 = 40.0;

#[derive(Parser)]
#[command(about = "What reading costs; `cargo xtask bench read` builds it first")]
struct Arguments {
    #[arg(long, default_value_t = 200)]
    pages: u64,
    #[arg(long, default_value_t = 500)]
    page_records: u64,
    #[arg(long, default_value_t = 1_024)]
    record_bytes: usize,
    /// Writes the numbers here, too.
    #[arg(long)]
    json: Option<std::path::PathBuf>,
    /// Serves the pages until standard input ends, and says the address.
    #[arg(long, hide = true)]
    serve: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    end(if arguments.serve { serve(&arguments) } else { read(&arguments) })
}

/// A page of records, each of the wanted length.
fn page(arguments: &Arguments, number: u64) -> Vec<u8> {
    let mut body = b"{\"meta\":{\"page\":1},\"records\":[".to_vec();
    for index in 0..arguments.page_records {
        let id = (number - 1) * arguments.page_records + index + 1;
        let mut record = format!(
            "{{\"id\":{id},\"number\":\"#{id}\",\"updated_at\":\"2026-11-24T09:{:02}:{:02}Z\",\"total\":\"119.90\",\"tax\":19.10,\"paid\":true,\
             \"customer\":{{\"id\":9007199254740993,\"name\":\"Zoë Müller\",\"email\":\"zoe{id}@example.com\"}},\"lines\":[",
            (id / 60) % 60,
            id % 60
        );
        let mut line = 1;
        while record.len() + 120 < arguments.record_bytes {
            if line > 1 {
                record.push(',');
            }
            record.push_str(&format!("{{\"sku\":\"SKU-{line:04}\",\"quantity\":{line},\"price\":\"12.30\",\"tax\":null}}"));
            line += 1;
        }
        record.push_str("],\"note\":\"");
        record.push_str(&"x".repeat(arguments.record_bytes.saturating_sub(record.len() + 2)));
        record.push_str("\"}");
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(record.as_bytes());
    }
    let next = if number < arguments.pages { format!("\"{}\"", number + 1) } else { "null".into() };
    body.extend_from_slice(format!("],\"next\":{next}}}").as_bytes());
    body
}

fn serve(arguments: &Arguments) -> Result<(), Failure> {
    let pages: std::sync::Arc<Vec<Vec<u8>>> =
        std::sync::Arc::new((1..=arguments.pages).map(|number| page(arguments, number)).collect());
    let listener = TcpListener::bind("127.0.0.1:0")?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let pages = pages.clone();
            std::thread::spawn(move || answer(stream, &pages));
        }
    });
    // The parent closes our standard input when it is done, or dies.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn answer(stream: TcpStream, pages: &[Vec<u8>]) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = (BufReader::new(stream.try_clone()?), stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let number = line.split_once("cursor=").map_or("1", |(_, rest)| rest.split([' ', '&']).next().unwrap_or("1"));
        let index = number.parse::<usize>().unwrap_or(1) - 1;
        while line.trim_end() != "" {
            line.clear();
            reader.read_line(&mut line)?;
        }
        let body = pages.get(index).map_or(&b"{}"[..], Vec::as_slice);
        write!(writer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len())?;
        writer.write_all(body)?;
    }
}

fn read(arguments: &Arguments) -> Result<(), Failure> {
    let mut server = Command::new(std::env::current_exe()?)
        .args(["--serve", "--pages", &arguments.pages.to_string(), "--page-records", &arguments.page_records.to_string()])
        .args(["--record-bytes", &arguments.record_bytes.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut address = String::new();
    BufReader::new(server.stdout.take().ok_or("the server has an output")?).read_line(&mut address)?;
    let outcome = measure(arguments, address.trim());
    drop(server.stdin.take());
    server.wait()?;
    let numbers = outcome?;
    let limits = vec![
        Limit::at_least("Records read", measured(&numbers, "records_per_cpu_s"), RECORDS_PER_CPU_S_MIN, "a second of CPU time"),
        Limit::at_most("Memory", measured(&numbers, "memory_max_mb"), MEMORY_MB_MAX, "MB"),
    ];
    report(numbers, limits, arguments.json.as_deref())
}

const CONNECTOR: &str = "
format: 1
name: bench
title: Bench
category: generic
settings: { base_url: { title: Address } }
error: { inside: [errors] }
resources:
  order:
    id: id
    updated_at: updated_at
    read:
      request: { method: GET, path: /orders, query: { since: '{{ since }}' } }
      records: records
      page: { cursor: { slot: { query: cursor }, next: { path: next } } }
      since: { overlap_s: 60 }
";

fn measure(arguments: &Arguments, address: &str) -> Result<serde_json::Value, Failure> {
    let connector = Connector::from_files("bench", [("connector.yaml".to_owned(), CONNECTOR.to_owned())].into())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let settings = json!({"base_url": format!("http://{address}")});
    let credential = SecretFields::default();
    let outbound = Outbound::new(AllowList::parse(address), Duration::from_secs(30))?;
    let vendor = Vendor::new(&connector, &settings, &credential, &outbound);
    let memory_before = memory_max_bytes()?;
    let (begin, cpu_before) = (Instant::now(), cpu()?);
    let (mut bytes, mut ids) = (0_u64, 0_u64);
    let end = runtime.block_on(vendor.read(RecordKind::Order, &Position::default(), async |records, _| {
        for record in &records {
            bytes += record.bytes.len() as u64;
            ids += record.id.as_deref().and_then(|id| id.parse::<u64>().ok()).unwrap_or_default();
        }
    }))?;
    let (wall, cpu) = (begin.elapsed(), cpu()? - cpu_before);
    let expected = arguments.pages * arguments.page_records;
    if end.records != expected || ids != expected * (expected + 1) / 2 || end.position.at.is_none() {
        return Err(format!("{} of {expected} records arrived, and their ids sum up to {ids}", end.records).into());
    }
    Ok(json!({
        "records": end.records,
        "pages": end.pages,
        "megabytes": bytes / 1_000_000,
        "wall_s": wall.as_secs_f64(),
        "cpu_s": cpu.as_secs_f64(),
        "records_per_cpu_s": (end.records as f64 / cpu.as_secs_f64()).round(),
        "memory_max_mb": memory_max_bytes()? as f64 / 1e6,
        "memory_before_mb": memory_before as f64 / 1e6,
    }))
}

/// User and system time of this process.
fn cpu() -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit_once(") ").ok_or("/proc/self/stat has a name in brackets")?.1.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    // Linux counts in hundredths of a second (sysconf(_SC_CLK_TCK)).
    Ok(Duration::from_millis(ticks * 10))
}

/// The most memory that was resident (`VmHWM`, proc(5)).
fn memory_max_bytes() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM")).ok_or("/proc/self/status has VmHWM")?;
    Ok(line.split_whitespace().nth(1).ok_or("VmHWM has a value")?.parse::<u64>()? * 1_024)
}
