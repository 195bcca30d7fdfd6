//! An export of 200 MB is read in the memory of a few of its lines. It stands in a program of its own, because it measures the whole process.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use connectors::{Connector, Position};
use domain::record::RecordKind;
use domain::secret::SecretFields;
use infra::outbound::{AllowList, Outbound};
use serde_json::json;
use workers::vendor::Vendor;

const LINES: u64 = 200_000;
const LINE_BYTES: usize = 1_000;
/// What is in use once the program has begun is not what reading takes.
const GROWTH_BYTES_MAX: u64 = 40_000_000;

fn line(number: u64) -> String {
    let start = format!("{{\"id\":{number},\"updated_at\":\"2026-11-24T09:30:00Z\",\"note\":\"");
    format!("{start}{}\"}}\n", "x".repeat(LINE_BYTES - start.len() - 3))
}

/// Answers every request with all lines, which it never has in memory at once; without a length, as exports come.
fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    while reader.read_line(&mut head)? > 2 {
        head.clear();
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/jsonl\r\nConnection: close\r\n\r\n")?;
    for first in (0..LINES).step_by(100) {
        let block: String = (first..first + 100).map(line).collect();
        stream.write_all(block.as_bytes())?;
    }
    Ok(())
}

/// The most memory that was resident (`VmHWM`, proc(5)).
fn memory_max_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
}

#[tokio::test]
async fn an_export_of_200_megabytes_is_read_in_less_than_40() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(serve(stream))));
    let yaml = "{format: 1, name: bulk, title: Bulk, category: generic, settings: {base_url: {title: Address}},
        resources: {order: {id: id, updated_at: updated_at, read: {request: {method: GET, path: /export}, format: json_lines}}}}";
    let connector = Connector::from_files("bulk", HashMap::from([("connector.yaml".to_owned(), yaml.to_owned())])).unwrap();
    let settings = json!({"base_url": format!("http://{address}")});
    let credential = SecretFields::default();
    let outbound = Outbound::new(AllowList::parse(&address), Duration::from_secs(60)).unwrap();
    let vendor = Vendor::new(&connector, &settings, &credential, &outbound);
    let before = memory_max_bytes();
    let (mut bytes, mut ids, mut most) = (0, 0, 0);
    let keep = async |records: Vec<connectors::ReadRecord>, _: Option<&Position>| {
        most = most.max(records.len());
        for record in &records {
            bytes += record.bytes.len() as u64;
            ids += record.id.as_deref().unwrap().parse::<u64>().unwrap();
        }
    };
    let end = vendor.read(RecordKind::Order, &Position::default(), keep).await.unwrap();
    let growth = memory_max_bytes() - before;
    assert_eq!((end.pages, end.records, ids), (1, LINES, LINES * (LINES - 1) / 2));
    assert_eq!(bytes, LINES * (LINE_BYTES as u64 - 1));
    assert!(most > 100, "records are kept by the batch, and not one by one: {most}");
    assert!(growth < GROWTH_BYTES_MAX, "reading took {growth} bytes of memory");
}
