use super::*;

const HEAD: &str = "BEG*00*SA*4500017**20261120~";
const LINE: &str = "PO1*1*12*EA*9.95**VN*HAT~";

fn order(body: &str) -> ReceivedSet {
    only_set(&envelope("PO", &[("850", "0001", body)]))
}

/// What is said of a set that is not taken.
fn refused(body: &str) -> Vec<String> {
    let set = order(body);
    assert_eq!((set.outcome, set.tree.is_none()), (Outcome::Rejected, true), "{body}");
    set.sentences()
}

#[test]
fn a_broken_envelope_is_refused_with_the_place_and_the_reason() {
    let good = envelope("PO", &[("850", "0001", &format!("{HEAD}{LINE}"))]);
    assert!(one(&good).is_ok());
    let no_text = "ISA*00*          *00*          *ZZ*";
    for (bytes, expected) in [
        ("", "begins with \"\" and not with \"ISA\""),
        ("\u{feff}ISA", "this is no X12 interchange"),
        ("<html>", "begins with \"<ht\""),
        (&good[..60], "the ISA segment is cut off: it has 60 bytes of 106"),
        (&good.replacen("BUYER          ", "BUYER", 1), "ISA06 does not have exactly 15 characters"),
        (&good.replacen("*T*>~", "*T**~", 1), "\"*\" is both the element separator and the component separator"),
        (&good.replacen("*T*>~", "*T*A~", 1), "the component separator is \"A\", which values need"),
        (&good.replacen("*T*>~", "*X*>~", 1), "ISA15 is \"X\": not P, T or I"),
        (&good.replacen("*261128*0711*U", "*261328*0711*U", 1), "ISA09 is \"261328\": no date"),
        (&good.replacen("*261128*0711*U", "*261128*2511*U", 1), "ISA10 is \"2511\": no time"),
        (&good.replacen("000000021", "00000002A", 1), "ISA13 is \"00000002A\": no control number"),
        (&good.replace("IEA*1*000000021~", ""), "interchange 21 of BUYER: the IEA segment is missing"),
        (
            &good.replace("IEA*1*000000021~", "IEA*1*000000022~"),
            "IEA02 says control number \"000000022\", but ISA13 says \"000000021\" (segment 8, byte",
        ),
        (&good.replace("IEA*1*000000021~", "IEA*2*000000021~"), "IEA01 says \"2\" groups, but there are 1"),
        (&good.replace("IEA*1*000000021~", "IEA*1*000000021"), "the file ends in the middle of a segment"),
        (&good.replacen("GS*", "BEG*1~GS*", 1), "a BEG segment stands outside of any group (segment 2, byte 106)"),
        (&good.replacen("~GS*PO", "~GE*PO", 1), "a GE segment stands outside of any group"),
        (no_text, "the ISA segment is cut off"),
    ] {
        let error = interchanges(bytes.as_bytes()).remove(0).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\nshould say\n{expected}");
    }
    let mut bytes = good.into_bytes();
    bytes[40] = 0xff;
    assert!(interchanges(&bytes)[0].as_ref().unwrap_err().to_string().contains("ISA06 is not text"));
}

#[test]
fn an_interchange_in_a_file_ends_where_the_next_one_begins() {
    let good = envelope("PO", &[("850", "0001", &format!("{HEAD}{LINE}"))]);
    let cut = good.replace("IEA*1*000000021~", "");
    let wrong = good.replace("IEA*1*000000021~", "IEA*7*000000021~");
    let file = format!("\r\n{cut}\n{good}{wrong}\n\n{good}\n");
    let read = interchanges(file.as_bytes());
    assert_eq!(read.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, false, true]);
    let hashes: Vec<[u8; 32]> = read.iter().flatten().map(|interchange| interchange.hash).collect();
    assert_eq!(hashes[0], hashes[1], "the same interchange, wherever it stands");
    assert_eq!(&file[read[1].as_ref().unwrap().range.clone()], good);
}

#[test]
fn a_group_whose_envelope_is_wrong_is_rejected_as_a_whole() {
    let good = envelope("PO", &[("850", "0001", &format!("{HEAD}{LINE}"))]);
    for (text, expected, code) in [
        (good.replace("GE*1*7~", "GE*1*8~"), "GE02 says control number \"8\", but GS06 says \"7\"", "4"),
        (good.replace("GE*1*7~", "GE*2*7~"), "GE01 says \"2\" transaction sets, but there are 1", "5"),
        (good.replace("GE*1*7~", "GE*99999999999999999999*7~"), "but there are 1", "5"),
        (good.replace("GE*1*7~", ""), "the GE segment is missing", "3"),
        (good.replace("*7*X*", "*0*X*").replace("GE*1*7", "GE*1*0"), "GS06 is \"0\"", "6"),
        (good.replace("004010", "003060"), "sets of the version \"003060\" are not read here", "2"),
        (good.replace("~ST*", "~REF*DP*1~ST*"), "a REF segment stands outside of any transaction set (segment 3, byte", "5"),
    ] {
        let group = received(&text).remove(0);
        assert_eq!((group.outcome, group.flaws[0].code()), (Outcome::Rejected, code), "{text}");
        assert!(group.sets.iter().all(|set| set.tree.is_none()));
        assert!(group.flaws[0].to_string().contains(expected), "{}", group.flaws[0]);
    }
    let twice = good.replace(
        "GE*1*7~IEA*1",
        "GE*1*7~GS*PO*BUYER*SELLER*20261128*0711*7*X*004010~ST*850*0001~BEG*00*SA*2**20261120~PO1*1*1*EA~SE*4*0001~GE*1*7~IEA*2",
    );
    let outcomes: Vec<Outcome> = received(&twice).iter().map(|group| group.outcome).collect();
    assert_eq!(outcomes, [Outcome::Accepted, Outcome::Rejected], "the second group of one number");
}

#[test]
fn a_bad_set_does_not_stop_its_neighbours() {
    let good = format!("{HEAD}{LINE}");
    let text = envelope(
        "PO",
        &[
            ("850", "0001", &good),
            ("850", "0002", LINE),
            ("850", "0003", &good),
            ("999", "0004", &good),
            ("810", "0005", &good),
            ("850", "0003", &good),
            ("850", "1", &good),
        ],
    );
    let text = text.replace("SE*4*0001~", "SE*5*0001~");
    let group = received(&text).remove(0);
    let codes: Vec<Vec<&str>> = group.sets.iter().map(|set| set.flaws.iter().map(SetFlaw::code).collect()).collect();
    assert_eq!(codes, [vec!["4"], vec![], vec![], vec!["1"], vec!["6"], vec!["7"], vec!["7"]]);
    let outcomes: Vec<bool> = group.sets.iter().map(|set| set.tree.is_some()).collect();
    assert_eq!((outcomes, group.outcome), (vec![false, false, true, false, false, false, false], Outcome::Partly));
    assert_eq!(group.sets[0].sentences(), ["SE01 says \"5\" segments, but there are 4"]);
    // Without an SE the next ST ends it.
    let text = envelope("PO", &[("850", "0001", &good), ("850", "0002", &good)]).replacen("SE*4*0001~", "", 1);
    let group = received(&text).remove(0);
    assert_eq!(group.sets[0].sentences(), ["the SE segment is missing"]);
    assert!(group.sets[1].tree.is_some());
}

#[test]
fn every_segment_and_element_that_is_wrong_is_said_with_its_place() {
    for (body, expected) in [
        (LINE.to_owned(), vec!["BEG is missing (segment 4, byte"]),
        (HEAD.to_owned(), vec!["PO1 is missing"]),
        (
            format!("{HEAD}{LINE}REF*DP*1~DTM*002*20261201~CUR*BY*USD~XYZ*1~"),
            vec!["XYZ is no segment that is known here (segment 9,"],
        ),
        (
            format!("{HEAD}TD5*B~DTM*002*20261201~{LINE}"),
            vec!["DTM stands in the wrong place: segments that must come after it came before it (segment 6,"],
        ),
        (format!("{HEAD}{HEAD}{LINE}"), vec!["BEG stands there more than once"]),
        (format!("{HEAD}HL*1**S~{LINE}"), vec!["HL does not belong into this transaction set"]),
        (format!("{HEAD}CUR*BY~{LINE}"), vec!["CUR02 (currency) is missing"]),
        (format!("{HEAD}{LINE}CTT*1~CTT*1~"), vec!["CTT begins its loop more than 1 times"]),
        (
            "BEG*00*SA*12345678901234567890123**20261120~PO1**1*EA~".into(),
            vec!["BEG03 (number) \"12345678901234567890123\" is longer than 22"],
        ),
        ("BEG*99*SA*1**20261120~PO1**1*EA~".into(), vec!["BEG01 (purpose) \"99\" is none of the codes"]),
        ("BEG*00*S*1**20261120~PO1**1*EA~".into(), vec!["BEG02 (type) \"S\" is shorter than 2"]),
        ("BEG*00*SA*1**20260230~PO1**1*EA~".into(), vec!["BEG05 (date) \"20260230\" is no date"]),
        ("BEG*00*SA*1**260228~PO1**1*EA~".into(), vec!["BEG05 (date) \"260228\" is no date"]),
        (format!("{HEAD}PO1**1e3*EA~"), vec!["PO102 (quantity) \"1e3\" has a character that it cannot have"]),
        (format!("{HEAD}PO1**1.2.3*EA~"), vec!["PO102"]),
        (format!("{HEAD}PO1**١*EA~"), vec!["PO102"]),
        (format!("{HEAD}PO1**1~"), vec![]),
        (format!("{HEAD}PO1***EA*5~"), vec!["PO102 (quantity) is missing beside the others of its segment (rule C0302)"]),
        (format!("{HEAD}PO1**1*EA**PE~"), vec!["PO104 (unit_price) is missing beside the others of its segment"]),
        (format!("{HEAD}PO1**1*EA***VN~"), vec!["PO107 (ids) is missing beside"]),
        (format!("{HEAD}PO1**1*EA***VN*A\u{7}B~"), vec!["PO107 (ids) \"A\\u{7}B\" has a character"]),
        (format!("{HEAD}PO1**1*EA***VN*A>B~"), vec!["PO107 (ids) \"A>B\" has the component separator in it"]),
        (format!("{HEAD}DTM*002**9999~{LINE}"), vec!["DTM03 (time) \"9999\" is no time"]),
        (format!("{HEAD}DTM*002~{LINE}"), vec!["DTM02 (date) is missing beside"]),
        (format!("{HEAD}N1*ST~{LINE}"), vec!["N102 (name) is missing beside"]),
        (format!("{HEAD}MSG*1*2*3*4~{LINE}"), vec!["MSG stands in the wrong place"]),
        (format!("{HEAD}N3*x~{LINE}"), vec!["N3 stands in the wrong place"]),
        (format!("{HEAD}{LINE}CTT*1*****8****~"), vec!["CTT06 (volume_unit)", "CTT05 (volume) is missing beside"]),
        (format!("{HEAD}{LINE}CTT*1*********8~"), vec!["CTT08 is more than the segment has"]),
    ] {
        let set = order(&body);
        let said = set.sentences();
        for expected in &expected {
            assert!(said.iter().any(|said| said.contains(expected)), "{body}\n{said:?}\nshould say {expected}");
        }
        assert_eq!(set.tree.is_none(), !expected.is_empty(), "{body} {said:?}");
    }
}

#[test]
fn a_wrong_count_of_lines_is_noted_and_the_order_taken() {
    let set = order(&format!("{HEAD}{LINE}CTT*2~"));
    assert_eq!((set.outcome, set.tree.is_some()), (Outcome::Noted, true));
    assert!(set.sentences()[0].starts_with("CTT01 (count) \"2\" is not how many there are: 1"), "{:?}", set.sentences());
}

#[test]
fn an_element_that_is_no_text_is_said_and_its_neighbours_are_taken() {
    let text =
        envelope("PO", &[("850", "0001", &format!("{HEAD}PO1*1*1*EA*1**VN*@@~")), ("850", "0002", &format!("{HEAD}{LINE}"))]);
    let mut bytes = text.into_bytes();
    let at = bytes.windows(2).position(|two| two == b"@@").unwrap();
    bytes[at..at + 2].copy_from_slice(b"\xff\xfe");
    let interchange = interchanges(&bytes).remove(0).unwrap();
    let group = receive(&interchange).remove(0);
    assert_eq!(group.outcome, Outcome::Partly);
    assert!(
        group.sets[0].sentences()[0].contains("PO107 (ids) has a character that it cannot have"),
        "{:?}",
        group.sets[0].sentences()
    );
}

#[test]
fn a_tree_of_ten_thousand_levels_is_refused_and_nothing_overflows() {
    let notice = |body: &str| only_set(&envelope("SH", &[("856", "0001", &format!("BSN*00*S1*20261128*0711~{body}"))]));
    let deep: String = (1..=10_000)
        .map(|n| if n == 1 { "HL*1**S~".to_owned() } else { format!("HL*{n}*{}*{}~", n - 1, ["I", "P"][n % 2]) })
        .collect();
    let set = notice(&deep);
    assert!(set.tree.is_none() && set.issues.len() <= 100);
    let wide: String = (3..=10_000).map(|n| format!("HL*{n}*2*I*0~SN1**1*EA~")).collect();
    let set = notice(&format!("HL*1**S*1~HL*2*1*O*1~{wide}"));
    assert_eq!(set.tree.unwrap().at("shipment.orders[0].items").unwrap().as_list().unwrap().len(), 9_998);
    for (body, expected) in [
        ("HL*1**S~HL*2*3*O~", "HL02 (parent) \"3\" does not say, or says wrongly, what it stands under"),
        ("HL*1**S~HL*2*2*O~", "HL02 (parent) \"2\""),
        ("HL*1**S~HL*1*1*O~", "HL01 (id) \"1\" is none of the codes"),
        ("HL*1**O~", "HL02 (parent) does not say"),
        ("HL*1**S~HL*2*1*I~", "HL02 (parent) \"1\""),
        ("HL*1**S~HL*2**S~", "HL begins its loop more than 1 times"),
        ("HL*1**Q~", "HL03 (level) \"Q\" is none of the codes"),
        ("", "HL is missing"),
    ] {
        let set = notice(body);
        assert!(set.tree.is_none());
        assert!(set.sentences().iter().any(|said| said.contains(expected)), "{body} {:?}", set.sentences());
    }
    let noted = notice("HL*1**S*0~HL*2*1*O*1~");
    assert_eq!((noted.outcome, noted.issues.len()), (Outcome::Noted, 2), "{:?}", noted.sentences());
}

#[test]
fn masses_are_refused_or_taken_in_time() {
    let began = std::time::Instant::now();
    let many = |count: usize, text: &str| text.repeat(count);
    assert!(refused(&format!("{HEAD}{}{LINE}", many(200_000, "XX~"))).len() <= 100);
    assert!(
        refused(&format!("{HEAD}PO1{}~", many(200_000, "*"))).iter().any(|said| said.contains("is more than the segment has"))
    );
    let set = order(&format!("{HEAD}{}{LINE}", many(90_000, "REF*DP*1~")));
    assert_eq!(set.tree.unwrap().at("references.department_90000.id").unwrap().as_str(), Some("1"));
    let file = many(2_000, &format!("{}~", "ISA*"));
    assert!(interchanges(file.as_bytes())[0].is_err());
    let empty = format!("{}{}", isa("000000021"), "IEA*0*000000021~").repeat(1_500);
    let read = interchanges(empty.as_bytes());
    assert!(
        read.len() == 1_001 && read[1_000].as_ref().is_err_and(|error| error.to_string().contains("more than 1000 interchanges"))
    );
    let groups = format!("{}{}", isa("000000021"), "GS*PO*A*B*20261128*0711*7*X*004010~".repeat(2_000));
    assert!(interchanges(groups.as_bytes())[0].as_ref().unwrap_err().to_string().contains("more than 1000 groups"));
    assert!(interchanges(&vec![b' '; 33 * 1024 * 1024])[0].as_ref().unwrap_err().to_string().contains("bytes"));
    assert!(began.elapsed() < std::time::Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn what_cannot_be_written_is_refused_with_its_field() {
    let guide = Guide::find("850").unwrap().unwrap();
    let make = |tree: serde_json::Value| {
        let tree = domain::value::Value::parse(tree.to_string().as_bytes(), &domain::value::Limits::DEFAULT).unwrap();
        guide.make(&tree, &Separators::default(), "004010").map_err(|error| error.to_string())
    };
    let good = serde_json::json!({"beginning": {"purpose": "00", "type": "SA", "number": "1", "date": "2026-11-28"}, "lines": [{"quantity": 5, "unit": "EA"}]});
    assert!(make(good.clone()).is_ok(), "{:?}", make(good));
    for (path, value, expected) in [
        (
            "/beginning/number",
            serde_json::json!("A*B"),
            "beginning.number \"A*B\" has '*' in it, which is the element separator and cannot be escaped",
        ),
        ("/beginning/number", serde_json::json!("A\nB"), "has a character that it cannot have"),
        ("/beginning/number", serde_json::json!(null), "beginning.number is missing (element 324)"),
        ("/beginning/date", serde_json::json!("28.11.2026"), "beginning.date \"28.11.2026\" is no date"),
        ("/beginning", serde_json::json!("x"), "beginning must have fields of its own"),
        ("/lines/0/quantity", serde_json::json!(true), "lines[0].quantity must be text or a number"),
        ("/lines/0/quantity", serde_json::json!("a dozen"), "lines[0].quantity"),
        ("/lines", serde_json::json!([]), "lines is missing: the segment PO1 must be there"),
        ("/lines", serde_json::json!({"quantity": 1}), "lines must be a list"),
        (
            "/lines/0",
            serde_json::json!({"quantity": 1, "unit": "EA", "untis": "x"}),
            "lines[0].untis is no field that the guide has; did you mean `unit`?",
        ),
        (
            "/lines/0",
            serde_json::json!({"unit_price": 1, "price_basis": "PE", "ids": {"sku": "1".repeat(49)}}),
            "lines[0].ids.sku",
        ),
        (
            "/lines/0",
            serde_json::json!({"price_basis": "PE"}),
            "lines[0] (PO1): price_basis, unit_price must be there beside the first of them",
        ),
    ] {
        let mut tree = serde_json::json!({"beginning": {"purpose": "00", "type": "SA", "number": "1", "date": "2026-11-28"}, "lines": [{"quantity": 5, "unit": "EA"}]});
        *tree.pointer_mut(path).unwrap() = value;
        let error = make(tree).unwrap_err();
        assert!(error.contains(expected), "{error}\nshould say\n{expected}");
    }
    let invoice = Guide::find("810").unwrap().unwrap();
    let total = |amount: &str| {
        let tree = format!(r#"{{"beginning": {{"date": "2026-11-28", "number": "1"}}, "total": {{"amount": "{amount}"}}}}"#);
        let tree = domain::value::Value::parse(tree.as_bytes(), &domain::value::Limits::DEFAULT).unwrap();
        invoice.make(&tree, &Separators::default(), "004010").map(|segments| segments[1].0[1].clone())
    };
    for (amount, written) in
        [("316.5", Some("31650")), ("0", Some("0")), ("-0.05", Some("-5")), ("1.230", Some("123")), ("1.234", None), ("", None)]
    {
        assert_eq!(total(amount).ok().as_deref(), written, "{amount}");
    }
}
