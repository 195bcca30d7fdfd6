//! What rules do to lists, amounts and types.

use super::{apply, plan, value};
use crate::mapping::{LookupSet, Rules, Vars};
use crate::value::Value;

const SPLIT: &str = r#"[
    {"to": "payloads", "each": "lines", "group_by": "location.id", "rules": [
        {"to": "location", "from": "$group.key", "as": "id"},
        {"to": "name", "from": "location.name"},
        {"to": "order", "from": "$parent.number"},
        {"to": "items", "each": "$group.rows", "rules": [
            {"to": "n", "expr": "$index + 1", "as": "int"},
            {"to": "sku", "from": "sku"},
            {"to": "of", "expr": "count($group.rows)", "as": "int"},
            {"to": "order", "from": "$parent.$parent.number"}]},
        {"to": "shipping", "expr": "sum($group.rows.amount)", "allocate": "shipping", "as": "money",
         "round": {"scope": "order", "mode": "half_up", "currency": "$root.currency"}}]}]"#;

#[test]
fn an_order_splits_by_location_and_its_shipping_is_shared_to_the_cent() {
    let order = r##"{"number":"#1","currency":"USD","shipping":"10.00","lines":[
        {"sku":"A","amount":"10","location":{"id":7,"name":"East"}},{"sku":"B","amount":"10","location":{"id":9,"name":"West"}},
        {"sku":"C","amount":"0","location":{"id":7,"name":"East"}},{"sku":"D","amount":"10"}]}"##;
    let east = r##"{"location":"7","name":"East","order":"#1","items":[{"n":1,"sku":"A","of":2,"order":"#1"},{"n":2,"sku":"C","of":2,"order":"#1"}],"shipping":"3.34"}"##;
    let west =
        r##"{"location":"9","name":"West","order":"#1","items":[{"n":1,"sku":"B","of":1,"order":"#1"}],"shipping":"3.33"}"##;
    let nowhere = r##"{"order":"#1","items":[{"n":1,"sku":"D","of":1,"order":"#1"}],"shipping":"3.33"}"##;
    let payloads = apply(SPLIT, order, &LookupSet::default()).unwrap();
    assert_eq!(payloads, format!(r#"{{"payloads":[{east},{west},{nowhere}]}}"#));
    let plan = plan(SPLIT);
    assert_eq!(
        plan.reads(),
        [
            "currency",
            "lines[]",
            "lines[].amount",
            "lines[].location.id",
            "lines[].location.name",
            "lines[].sku",
            "number",
            "shipping"
        ]
    );
    for written in ["payloads[]", "payloads[].items[]", "payloads[].items[].sku", "payloads[].shipping"] {
        assert!(plan.writes().iter().any(|name| name == written), "{written}");
    }
}

#[test]
fn rows_are_chosen_flattened_and_numbered() {
    let orders = r#"{"orders":[{"id":1,"lines":[{"sku":"A","q":2},{"sku":"B","q":0}]},{"id":2,"lines":[]},{"id":3,"lines":[{"sku":"C","q":1}]}]}"#;
    let rules = r#"[{"to":"rows","each":"orders","flatten":"lines","where":"q > 0","rules":[
        {"to":"n","expr":"$index","as":"int"},{"to":"order","from":"$parent.id","as":"id"},{"to":"sku","from":"sku"}]}]"#;
    let none = LookupSet::default();
    assert_eq!(apply(rules, orders, &none).unwrap(), r#"{"rows":[{"n":0,"order":"1","sku":"A"},{"n":1,"order":"3","sku":"C"}]}"#);
    assert_eq!(
        plan(rules).reads(),
        ["orders[]", "orders[].id", "orders[].lines[]", "orders[].lines[].q", "orders[].lines[].sku"]
    );
    let texts = r#"[{"to":"tags","each":"tags","where":"$this != ''","rules":[{"to":"name","expr":"upper($this)"}]}]"#;
    assert_eq!(apply(texts, r#"{"tags":["a","","b"]}"#, &none).unwrap(), r#"{"tags":[{"name":"A"},{"name":"B"}]}"#);
    // A condition on the rule is asked once, around the list; one on the rows is asked of each.
    let when = r#"[{"to":"l","each":"lines","when":"on","rules":[{"to":"a","from":"a"}]}]"#;
    assert_eq!(apply(when, r#"{"on":false,"lines":[{"a":1}]}"#, &none).unwrap(), "{}");
}

#[test]
fn lists_nest_as_the_source_nests_them() {
    let rules = r#"[{"to":"a","each":"a","rules":[{"to":"b","each":"b","rules":[{"to":"c","each":"c","rules":[
        {"to":"x","expr":"x + $parent.y + $parent.$parent.z + $root.w","as":"int"}]}]}]}]"#;
    let json = r#"{"w":1000,"a":[{"z":100,"b":[{"y":10,"c":[{"x":1},{"x":2}]},{"y":20,"c":[]}]},{"z":200,"b":[]}]}"#;
    assert_eq!(
        apply(rules, json, &LookupSet::default()).unwrap(),
        r#"{"a":[{"b":[{"c":[{"x":1111},{"x":1112}]},{"c":[]}]},{"b":[]}]}"#
    );
}

#[test]
fn a_row_may_be_a_list_itself() {
    let rules = r#"[{"to":"m","each":"m","rules":[{"to":"r","each":"$this","rules":[{"to":"v","from":"$this"}]}]}]"#;
    assert_eq!(
        apply(rules, r#"{"m":[[1,2],[],["x"]]}"#, &LookupSet::default()).unwrap(),
        r#"{"m":[{"r":[{"v":1},{"v":2}]},{"r":[]},{"r":[{"v":"x"}]}]}"#
    );
    assert_eq!(plan(rules).reads(), ["m", "m[]"]);
}

#[test]
fn a_later_rule_of_a_field_takes_the_earlier_ones_place() {
    let rules = r#"[{"to":"a.x","from":"x"},{"to":"b","from":"b"},{"to":"a.y","from":"y"},{"to":"b","from":"c"},{"to":"a.x","from":"none"}]"#;
    assert_eq!(apply(rules, r#"{"x":1,"y":2,"b":3,"c":4}"#, &LookupSet::default()).unwrap(), r#"{"a":{"x":1,"y":2},"b":4}"#);
    let turned = r#"[{"to":"a","from":"x"},{"to":"a.y","from":"y"},{"to":"b.z","from":"y"},{"to":"b","from":"x"}]"#;
    assert_eq!(apply(turned, r#"{"x":1,"y":2}"#, &LookupSet::default()).unwrap(), r#"{"a":{"y":2},"b":1}"#);
}

#[test]
fn rows_of_several_lists_become_one() {
    let rules = r#"[
        {"to":"charges","each":"fees","rules":[{"to":"code","default":"FEE"},{"to":"n","expr":"$index","as":"int"}]},
        {"to":"charges[]","each":"shipping","where":"amount > 0","rules":[{"to":"code","default":"SHIP"},{"to":"amount","from":"amount"}]},
        {"to":"a.b[]","each":"fees","rules":[{"to":"x","from":"x"}]},{"to":"a.b[]","each":"fees","rules":[{"to":"y","from":"x"}]}]"#;
    let none = LookupSet::default();
    let both = r#"{"fees":[{"x":1},{"x":2}],"shipping":[{"amount":5},{"amount":0}]}"#;
    assert_eq!(
        apply(rules, both, &none).unwrap(),
        r#"{"charges":[{"code":"FEE","n":0},{"code":"FEE","n":1},{"code":"SHIP","amount":5}],"a":{"b":[{"x":1},{"x":2},{"y":1},{"y":2}]}}"#
    );
    for (json, charges) in [
        (r#"{"shipping":[{"amount":5}]}"#, r#"{"charges":[{"code":"SHIP","amount":5}]}"#),
        (r#"{"fees":[],"shipping":[{"amount":0}]}"#, r#"{"charges":[],"a":{"b":[]}}"#),
        (r#"{"fees":[{}],"shipping":[]}"#, r#"{"charges":[{"code":"FEE","n":0}],"a":{"b":[{},{}]}}"#),
        ("{}", "{}"),
    ] {
        assert_eq!(apply(rules, json, &none).unwrap(), charges, "{json}");
    }
    let plan = plan(rules);
    assert_eq!(plan.writes(), ["a.b[]", "a.b[].x", "a.b[].y", "charges[]", "charges[].amount", "charges[].code", "charges[].n"]);
    // A later rule of the whole list takes the place of all that was added to it.
    let whole = r#"[{"to":"l","each":"a","rules":[]},{"to":"l[]","each":"a","rules":[]},{"to":"l","each":"b","rules":[]}]"#;
    assert_eq!(apply(whole, r#"{"a":[1,2],"b":[3]}"#, &none).unwrap(), r#"{"l":[{}]}"#);
}

#[test]
fn rules_laid_over_a_list_take_the_place_of_those_that_add_to_it() {
    let rules = |text: &str| serde_json::from_str::<Rules>(text).unwrap();
    let base = rules(r#"[{"to":"l","each":"a","rules":[]},{"to":"n","from":"n"},{"to":"l[]","each":"b","rules":[]}]"#);
    let (list, added) = (r#"{"to":"l","each":"c","rules":[]}"#, r#"{"to":"l[]","each":"d","rules":[]}"#);
    for (over, fields) in [
        (format!("[{list}]"), vec!["l c", "n "]),
        (format!("[{added}]"), vec!["l a", "n ", "l[] d"]),
        (format!("[{added},{list}]"), vec!["l c", "n ", "l[] d"]),
        (format!("[{added},{added}]"), vec!["l a", "n ", "l[] d", "l[] d"]),
    ] {
        let all = base.overlaid(rules(&over)).0;
        let found: Vec<String> = all.iter().map(|rule| format!("{} {}", rule.to, rule.each.as_deref().unwrap_or(""))).collect();
        assert_eq!(found, fields, "{over}");
    }
    // Of two flows one says what the whole list is and the other adds to it: which of them comes last would decide.
    let (one, other) = (rules(&format!("[{list}]")), rules(&format!("[{added}]")));
    assert_eq!((one.conflict(&other), other.conflict(&one)), (Some("l"), Some("l[]")));
    let both = rules(&format!("[{list},{added}]"));
    assert_eq!((both.conflict(&both), both.conflict(&one), one.conflict(&both)), (None, Some("l"), Some("l")));
}

#[test]
fn rounding_is_what_the_rule_says_per_line_or_per_order() {
    let json = r#"{"currency":"USD","lines":[{"v":"0.125"},{"v":"0.125"},{"v":"0.125"},{"v":"0.125"}]}"#;
    let rules = |scope: &str, mode: &str, places: &str| {
        let round = format!(r#"{{"scope":"{scope}","mode":"{mode}",{places}}}"#);
        format!(r#"[{{"to":"l","each":"lines","rules":[{{"to":"v","from":"v","as":"money","round":{round}}}]}}]"#)
    };
    for (scope, mode, places, values) in [
        ("line", "half_up", r#""digits":2"#, ["0.13", "0.13", "0.13", "0.13"]),
        ("line", "half_even", r#""digits":2"#, ["0.12", "0.12", "0.12", "0.12"]),
        ("order", "half_up", r#""digits":2"#, ["0.13", "0.13", "0.12", "0.12"]),
        ("order", "half_up", r#""currency":"$root.currency""#, ["0.13", "0.13", "0.12", "0.12"]),
        ("order", "up", r#""currency":"'JPY'""#, ["1", "0", "0", "0"]),
        ("line", "half_up", r#""currency":"'KWD'""#, ["0.125", "0.125", "0.125", "0.125"]),
        ("line", "half_up", r#""digits":4"#, ["0.1250", "0.1250", "0.1250", "0.1250"]),
    ] {
        let lines = values.map(|value| format!(r#"{{"v":"{value}"}}"#)).join(",");
        let written = apply(&rules(scope, mode, places), json, &LookupSet::default()).unwrap();
        assert_eq!(written, format!(r#"{{"l":[{lines}]}}"#), "{scope} {mode} {places}");
    }
    let unknown = rules("line", "half_up", r#""currency":"'XYZ'""#);
    let issue = apply(&unknown, json, &LookupSet::default()).unwrap_err().remove(0);
    assert_eq!((issue.to.as_str(), issue.value.as_deref()), ("l[0].v", Some("XYZ")));
}

#[test]
fn types_keep_what_is_right_and_name_what_is_not() {
    for (kind, from, to) in [
        ("id", "5123456789012345678", r#""5123456789012345678""#),
        ("id", r#"" gid/1 ""#, r#""gid/1""#),
        ("tax", "0.0825", r#""0.0825""#),
        ("tax", r#""8.25%""#, r#""0.0825""#),
        ("tax", "1", r#""1""#),
        ("unit", r#""POUNDS""#, r#""lb""#),
        ("country", r#""deu""#, r#""DE""#),
        ("currency", r#""usd""#, r#""USD""#),
        ("money", r#""12.30""#, r#""12.30""#),
        ("money", "1e2", r#""100""#),
        ("number", r#""12.30""#, "12.30"),
        ("int", r#""5.0""#, "5"),
        ("bool", r#""Yes""#, "true"),
        ("tax", "8.25", "\"8.25\" is no tax rate from 0 to 1, or from 0% to 100%"),
        ("unit", r#""stone""#, "\"stone\" is no unit of measure such as kg"),
        ("country", r#""Germany""#, "\"Germany\" is no country code such as US (ISO 3166-1 alpha-2)"),
        ("currency", r#""XYZ""#, "\"XYZ\" is no currency code such as USD (ISO 4217)"),
        ("money", r#""12,30""#, "\"12,30\" is no number of at most 28 digits"),
        ("int", "1.5", "\"1.5\" is no whole number"),
        ("id", r#""a\tb""#, "\"a\tb\" is no id: it has a control character"),
        ("date", r#""24.11.2026""#, "\"24.11.2026\" is no date such as 2026-11-24"),
        ("text", "[1]", "a plain value was expected, not a list or a group of fields"),
    ] {
        let rules = format!(r#"[{{"to":"x","from":"x","as":"{kind}"}}]"#);
        let outcome = plan(&rules).apply(&value(&format!(r#"{{"x":{from}}}"#)), &LookupSet::default(), &Vars::default());
        match outcome {
            Ok(out) => assert_eq!(out.get("x").map(Value::to_json).as_deref(), Some(to), "{kind} {from}"),
            Err(issues) => {
                assert_eq!(issues[0].sentence, to, "{kind} {from}");
                assert!(issues[0].suggestion.is_some(), "{kind} {from}");
            }
        }
    }
    let zoned = r#"[{"to":"at","from":"at","as":"timestamp","zone":"America/Los_Angeles"},{"to":"day","from":"utc","as":"date","zone":"Asia/Tokyo"}]"#;
    assert_eq!(
        apply(zoned, r#"{"at":"2026-07-01 09:30:00","utc":"2026-07-01T20:00:00Z"}"#, &LookupSet::default()).unwrap(),
        r#"{"at":"2026-07-01T16:30:00.000Z","day":"2026-07-02"}"#
    );
}
