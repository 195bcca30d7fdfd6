use std::io::{Cursor, Write as _};

use super::*;

fn inbox(format: FileFormat) -> Inbox {
    Inbox {
        site: Site { url: "file:".into(), login: None },
        folder: "/in".into(),
        names: Names::read("*"),
        format,
        encoding: Encoding::Utf8,
        after: After::Keep,
        ready: None,
        rest_s: 30,
        agreement: None,
        id: Some("id".into()),
    }
}

fn csv(group: Option<&str>, has_paths: bool) -> FileFormat {
    FileFormat::Csv(Table { delimiter: b',', columns: vec![], group: group.map(str::to_owned), has_paths })
}

fn xml(records: &str) -> FileFormat {
    FileFormat::Xml { records: records.into(), lists: vec!["line".into()] }
}

/// `7 id=1 {…}` of a record, `7 ! …` of a bad one, `! …` of a flaw.
fn read_as(inbox: &Inbox, name: &str, file: &[u8]) -> Vec<String> {
    let records = match FileRecords::open(Cursor::new(file), name, inbox) {
        Ok(records) => records,
        Err(flaw) => return vec![format!("! {flaw}")],
    };
    let said = |record: Result<FileRecord, FileFlaw>| match record {
        Err(flaw) => format!("! {flaw}"),
        Ok(FileRecord { line, document: Err(what), .. }) => format!("{line} ! {what}"),
        Ok(FileRecord { line, document: Ok((bytes, id)), .. }) => {
            format!("{line} id={} {}", id.unwrap_or_default(), String::from_utf8_lossy(&bytes))
        }
    };
    records.map(said).collect()
}

fn read(format: FileFormat, file: &[u8]) -> Vec<String> {
    read_as(&inbox(format), "x", file)
}

#[test]
fn a_bad_row_says_its_line_and_stops_no_other() {
    let file = b"\xef\xbb\xbfid,note\r\n1,\"two\nlines\"\r\n\r\n2,a,b\r\n3,\xff\r\n4,last";
    assert_eq!(
        read(csv(None, false), file),
        [
            "2 id=1 {\"id\":\"1\",\"note\":\"two\\nlines\"}",
            "5 ! has 3 values, but there are 2 columns",
            "6 ! is not UTF-8 at byte 3 of it; ask for the file in UTF-8, or set its encoding to windows-1252",
            "7 id=4 {\"id\":\"4\",\"note\":\"last\"}",
        ]
    );
    let lines = b"{\"id\": 9007199254740993}\n\n{\"id\": }\r\n[1]\n{\"id\":\"b\"}";
    assert_eq!(
        read(FileFormat::JsonLines, lines),
        [
            "1 id=9007199254740993 {\"id\": 9007199254740993}",
            "3 ! is not JSON Lines: a value was expected at column 8",
            "4 ! is no JSON object",
            "5 id=b {\"id\":\"b\"}",
        ]
    );
}

#[test]
fn rows_that_belong_together_are_one_record_and_one_bad_row_spoils_all_of_them() {
    let file = b"id,total,sku\nA,9,HAT\nA,9,CAP\nB,1,HAT\nB,1,HAT,oops\nC,2,HAT\nA,9,SOCK\n";
    assert_eq!(
        read(csv(Some("id"), false), file),
        [
            r#"2 id=A {"id":"A","total":"9","sku":"HAT","rows":[{"id":"A","total":"9","sku":"HAT"},{"id":"A","total":"9","sku":"CAP"}]}"#,
            "4 ! begins a record whose line 5 has 4 values, but there are 3 columns",
            r#"6 id=C {"id":"C","total":"2","sku":"HAT","rows":[{"id":"C","total":"2","sku":"HAT"}]}"#,
            // They do not follow each other, so that they are no one record.
            r#"7 id=A {"id":"A","total":"9","sku":"SOCK","rows":[{"id":"A","total":"9","sku":"SOCK"}]}"#,
        ]
    );
    // A bad row that says whose it is spoils no other's record.
    let alone = read(csv(Some("id"), false), b"id,sku\nA,HAT\nB,HAT,oops\nC,CAP\n");
    assert_eq!(alone[1], "3 ! has 3 values, but there are 2 columns");
    assert!(alone[0].starts_with("2 id=A") && alone[2].starts_with("4 id=C"), "{alone:?}");
    let paths = b"id,totals.grand,lines[].sku,lines[].quantity\nA,9,HAT,1\nA,,CAP,\n";
    let orders = read(csv(Some("id"), true), paths);
    assert_eq!(orders, [r#"2 id=A {"id":"A","totals":{"grand":"9"},"lines":[{"sku":"HAT","quantity":"1"},{"sku":"CAP"}]}"#]);
    let long: String = (0..300).map(|n| format!("A,9,S{n},1\n")).collect();
    let many = read(csv(Some("id"), true), format!("id,totals.grand,lines[].sku,lines[].quantity\n{long}").as_bytes());
    assert_eq!((many.len(), many[0].matches("sku").count()), (1, 300), "no line is lost");
}

#[test]
fn elements_are_records_with_their_lines_and_half_a_document_is_none() {
    let file = b"<?xml version=\"1.0\"?>\n<o:orders xmlns:o=\"urn:x\">\n <o:order><id>1</id><line>a</line></o:order>\n <other/>\n <o:order\n/>\n</o:orders>\n";
    assert_eq!(read(xml("order"), file), ["3 id=1 {\"id\":\"1\",\"line\":[\"a\"]}", "5 id= \"\""]);
    assert_eq!(read(xml(""), b"<order><id>7</id></order>"), ["1 id=7 {\"id\":\"7\"}"]);
    let deep = b"<r><a><b><id>1</id></b><c/><b><id>2</id></b></a><b><id>no</id></b><a><b><id>3</id></b></a></r>";
    assert_eq!(read(xml("a.b"), deep), ["1 id=1 {\"id\":\"1\"}", "1 id=2 {\"id\":\"2\"}", "1 id=3 {\"id\":\"3\"}"]);
    for (file, why) in [
        (&b"<orders><order><id>1</id></order>"[..], "! it is no XML: the document ends too early"),
        (b"<orders><order></orders>", "! it is no XML: "),
        (b"<a/><b/>", "! it is no XML: there is more than one outer element"),
        (b"", "! it is no XML: the document ends too early"),
        (b"id,total\n1,2\n", "! it is no XML: "),
        (b"<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", "! it is no XML: a document type is not read"),
    ] {
        let said = read(xml("order"), file);
        assert!(said.len() == 1 && said[0].starts_with(why), "{said:?}");
    }
}

#[test]
fn what_is_no_such_file_is_told_and_nothing_of_it_is_guessed() {
    let unclosed = read(csv(None, false), b"id,note\n1,ok\n2,\"open\n3,x\n");
    assert_eq!(
        unclosed[1],
        format!(
            "! it is no CSV: the row that begins in line 3 is longer than {} bytes, or has a quote that is never closed",
            rows::RECORD_BYTES_MAX
        )
    );
    for (format, file, why) in [
        (csv(None, false), &b"\xff\xfei\0d\0"[..], "! it is no CSV: it is UTF-16; ask for it in UTF-8"),
        (csv(None, false), b"PK\x03\x04\0\0", "! it is no CSV: it is no text"),
        (csv(None, false), b"id,id\n1,2\n", "! it is no CSV: two of its columns are named \"id\""),
        (
            csv(Some("no"), false),
            b"id\n1\n",
            "! it is no CSV: its first row names no column \"no\", by which its rows are to be grouped",
        ),
        (csv(None, true), b"a,a.b\n1,2\n", "! it is no CSV: its column \"a.b\" stands within its column \"a\", which is a value"),
    ] {
        assert_eq!(read(format, file), [why]);
    }
    assert_eq!(read(csv(None, false), b""), [""; 0]);
}

#[test]
fn another_encoding_and_a_packed_file_are_read_too() {
    let mut latin = inbox(csv(None, false));
    latin.encoding = Encoding::Windows1252;
    assert_eq!(read_as(&latin, "x", b"id,name\n1,M\xfcller \x80\n"), ["2 id=1 {\"id\":\"1\",\"name\":\"Müller €\"}"]);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"<orders><order><id>1</id></order></orders>").unwrap();
    let packed = packed.finish().unwrap();
    assert_eq!(read_as(&inbox(xml("order")), "o.xml.GZ", &packed), ["1 id=1 {\"id\":\"1\"}"]);
    let cut = read_as(&inbox(xml("order")), "o.xml.gz", &packed[..packed.len() - 12]);
    assert!(cut.len() == 1 && cut[0].starts_with("! it is no"), "{cut:?}");
}

#[test]
fn a_line_without_end_takes_no_more_memory_than_a_record_may() {
    let mut file = vec![b'x'; rows::RECORD_BYTES_MAX + 10];
    file.extend_from_slice(b"\n{\"id\":1}\n");
    let said = read(FileFormat::JsonLines, &file);
    assert_eq!(said, [format!("1 ! is longer than {} bytes", rows::RECORD_BYTES_MAX), "2 id=1 {\"id\":1}".to_owned()]);
}

#[test]
fn threat_columns_that_are_paths_without_end_are_refused_before_a_tree_is_made_of_them() {
    let deep = "a.".repeat(1_000_000);
    for name in [deep.as_str(), "a[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]", "l[].a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q"] {
        let said = read(csv(None, true), format!("{name}\n1\n").as_bytes());
        assert!(said.len() == 1 && said[0].starts_with("! it is no CSV: its column \"") && said[0].len() < 160, "{said:?}");
        assert!(said[0].ends_with("is a path of more than 16 steps"), "{said:?}");
    }
}

#[test]
fn threat_rows_of_many_lists_are_read_in_a_time_that_grows_with_their_bytes() {
    let lists = 1_900;
    let head: Vec<String> = (0..lists).map(|n| format!("l{n}[].v")).collect();
    let row = vec!["1"; lists].join(",");
    let time = |rows: usize| {
        let file = format!("id,{}\n{}", head.join(","), format!("A,{row}\n").repeat(rows));
        let began = std::time::Instant::now();
        let said = read(csv(Some("id"), true), file.as_bytes());
        assert_eq!((said.len(), said[0].matches("\"v\":\"1\"").count()), (1, rows * lists));
        began.elapsed()
    };
    // Eight times as many rows take eight times as long, and 64 times where each looks at all before it. Between the two is what else the machine does.
    let (few, many) = (time(20), time(160));
    assert!(many < few * 30, "{few:?}, {many:?}");
}

#[test]
fn threat_a_part_of_xml_without_end_is_not_held_and_an_element_has_not_attributes_without_end() {
    let text = vec![b'x'; 20 * 1024 * 1024];
    for before in [&b"<orders>"[..], b"<orders a=\"", b"<!--", b"<![CDATA["] {
        let said = read(xml("order"), &[before, &text].concat());
        assert!(said.len() == 1 && said[0].contains("a tag, or a text, has more than 8388608 bytes"), "{said:?}");
    }
    let attributes: String = (0..300_000).map(|n| format!(" a{n}=''")).collect();
    let began = std::time::Instant::now();
    let said = read(xml("order"), format!("<orders><order{attributes}/><order><id>2</id></order></orders>").as_bytes());
    assert_eq!(said, ["1 ! it has more than 200 attributes of one element", "1 id=2 {\"id\":\"2\"}"]);
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
}
