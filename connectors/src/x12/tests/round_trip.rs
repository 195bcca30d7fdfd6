use proptest::prelude::*;

use super::*;

/// What partners send, with every kind of separator.
pub(super) const SAMPLES: [&str; 8] = [
    include_str!("../../../x12/samples/810_invoice.edi"),
    include_str!("../../../x12/samples/846_inventory.edi"),
    include_str!("../../../x12/samples/850_orders.edi"),
    include_str!("../../../x12/samples/855_answer.edi"),
    include_str!("../../../x12/samples/856_shipment.edi"),
    include_str!("../../../x12/samples/940_request.edi"),
    include_str!("../../../x12/samples/945_advice.edi"),
    include_str!("../../../x12/samples/997_rejected.edi"),
];

/// What was received, sent again as it is.
fn again(interchange: &Interchange<'_>) -> InterchangeDraft {
    let draft = |group: ReceivedGroup| {
        let release = group.header.release().to_owned();
        let set = |set: ReceivedSet| SetDraft {
            segments: Guide::find(&set.id)
                .unwrap()
                .unwrap()
                .make(set.tree.as_ref().unwrap_or_else(|| panic!("{:?}", set.sentences())), &interchange.separators, &release)
                .unwrap_or_else(|error| panic!("{error}")),
            id: set.id,
            control_number: set.control_number,
            implementation: set.implementation,
        };
        GroupDraft { header: group.header, sets: group.sets.into_iter().map(set).collect() }
    };
    InterchangeDraft {
        header: interchange.header.clone(),
        separators: interchange.separators,
        groups: receive(interchange).into_iter().map(draft).collect(),
    }
}

#[test]
fn what_is_read_is_written_to_the_byte() {
    for sample in SAMPLES {
        let interchange = one(sample).unwrap_or_else(|error| panic!("{error}"));
        let written = String::from_utf8(again(&interchange).write().unwrap()).unwrap();
        // The one thing that is written otherwise: a number that begins with its point.
        assert_eq!(written, sample.replace("*.5*", "*0.5*"));
    }
}

#[test]
fn a_tree_names_what_qualifiers_mean_and_keeps_every_digit() {
    let order = received(SAMPLES[2]).remove(0).sets.remove(0).tree.unwrap();
    let at = |path: &str| order.at(path).and_then(|value| value.as_str()).unwrap_or("-").to_owned();
    for (path, expected) in [
        ("set", "850"),
        ("envelope.sender", "HATSHOPS"),
        ("envelope.interchange", "21"),
        ("beginning.number", "HS-4711"),
        ("beginning.date", "2026-11-20"),
        ("references.department.id", "042"),
        ("dates.requested_ship.date", "2026-11-30"),
        ("parties.ship_to.name", "Hat Shops Store 17"),
        ("parties.ship_to.streets[0].line1", "88 Harbor Way"),
        ("parties.bill_to.place.postal_code", "97201"),
        ("lines[0].unit_price", "9.95"),
        ("lines[0].ids.upc", "012345678905"),
        ("lines[1].unit_price", "0.5"),
        ("notes[0].messages[0].text", "Leave at dock 4 before 10 in the morning"),
        ("totals.count", "2"),
        ("totals.amounts.total.amount", "120.90"),
    ] {
        assert_eq!(at(path), expected, "{path}");
    }
    let invoice = received(SAMPLES[0]).remove(0).sets.remove(0).tree.unwrap();
    assert_eq!(invoice.at("total.amount").unwrap().as_str(), Some("316.50"), "two implied decimals");
    let notice = received(SAMPLES[4]).remove(0).sets.remove(0).tree.unwrap();
    let at = |path: &str| notice.at(path).and_then(|value| value.as_str()).unwrap_or("-").to_owned();
    assert_eq!(at("shipment.orders[0].packs[1].items[0].shipped.quantity"), "40");
    assert_eq!(at("shipment.orders[1].items[0].product.ids.vendor_item"), "NUT-M8");
    assert_eq!(at("dates.shipped.time"), "16:30");
}

#[test]
fn documents_that_are_split_are_one_set_again() {
    for (sample, set, count, path) in
        [(SAMPLES[1], "846", 2, "line.ids.sku"), (SAMPLES[4], "856", 2, "order.order_reference.number")]
    {
        let guide = Guide::find(set).unwrap().unwrap();
        let tree = received(sample).remove(0).sets.remove(0).tree.unwrap();
        let documents: Vec<_> = guide.split(tree.clone()).collect();
        assert_eq!(documents.len(), count);
        assert!(documents.iter().all(|document| document.at(path).is_some()), "{path}");
        assert_eq!(guide.join(documents.clone()).unwrap(), tree);
        let lacking = [documents, vec![tree]].concat();
        assert!(matches!(guide.join(lacking), Err(SplitError::Missing(2, _))));
    }
}

fn words() -> impl Strategy<Value = String> {
    "[A-Za-z0-9 .,/#-]{1,22}".prop_filter("no spaces only", |text| !text.trim().is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A tree that a mapping may make is read back as it was, whatever the separators.
    #[test]
    fn what_is_written_reads_back_as_the_same_tree(
        number in words(),
        lines in proptest::collection::vec((words(), 1_u32..10_000, 0_u64..10_000_000, proptest::option::of(words())), 1..20),
        city in "[A-Za-z ]{2,20}",
        (element, component, segment) in prop_oneof![Just((b'*', b'>', b'~')), Just((b'|', b':', b'\n')), Just((0x1d, 0x1f, 0x1e))],
        line_break in prop_oneof![Just(""), Just("\n"), Just("\r\n")],
    ) {
        let price = |minor: u64| format!("{}.{:02}", minor / 100, minor % 100);
        let line = |(sku, quantity, minor, title): &(String, u32, u64, Option<String>)| {
            let mut line = serde_json::json!({"quantity": quantity.to_string(), "unit": "EA", "unit_price": price(*minor), "ids": {"sku": sku}});
            if let Some(title) = title {
                line["descriptions"] = serde_json::json!([{"kind": "F", "description": title}]);
            }
            line
        };
        let tree = serde_json::json!({
            "set": "850",
            "beginning": {"purpose": "00", "type": "SA", "number": number, "date": "2026-11-28"},
            "parties": {"ship_to": {"name": "A", "place": {"city": city}}, "bill_to": {"name": "B"}, "ship_to_2": {"name": "C"}, "Q9": {"name": "D"}},
            "lines": lines.iter().map(line).collect::<Vec<_>>(),
            "totals": {"count": lines.len().to_string()},
        });
        let tree = domain::value::Value::parse(tree.to_string().as_bytes(), &domain::value::Limits::DEFAULT).unwrap();
        let line_break = if segment == b'\n' { "" } else { line_break };
        let separators = Separators { element, component, repetition: None, segment, line_break };
        let guide = Guide::find("850").unwrap().unwrap();
        let segments = guide.make(&tree, &separators, "004010").unwrap();
        let set = SetDraft { id: "850".into(), control_number: "0001".into(), implementation: None, segments };
        let group = GroupDraft { header: group_header("PO"), sets: vec![set] };
        let draft = InterchangeDraft { header: header(), separators, groups: vec![group] };
        let bytes = draft.write().unwrap();
        let read = interchanges(&bytes).remove(0).unwrap();
        prop_assert_eq!(&read.header, &draft.header);
        prop_assert_eq!(read.separators, separators);
        let taken = guide.take(&read.groups[0].sets[0].segments, &read.separators, "004010");
        prop_assert_eq!(taken.issues, vec![]);
        prop_assert_eq!(taken.tree.unwrap().to_json(), tree.to_json());
        prop_assert_eq!(again(&read).write().unwrap(), bytes);
    }

    /// Whatever comes, it is read or refused, and what is accepted can be sent again.
    #[test]
    fn damaged_interchanges_are_read_or_refused(sample in 0_usize..8, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = SAMPLES[sample].as_bytes().to_vec();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        for read in interchanges(&bytes).into_iter().flatten() {
            for group in receive(&read) {
                let separators = Separators::default();
                if let Some(tree) = acknowledge(&group, &separators) {
                    prop_assert!(Guide::find("997").unwrap().unwrap().make(&tree, &separators, "004010").is_ok(), "{:?}", tree);
                }
                for set in group.sets.iter().filter(|set| set.tree.is_none()) {
                    prop_assert!(!set.sentences().is_empty() || !group.flaws.is_empty());
                }
            }
        }
    }
}
