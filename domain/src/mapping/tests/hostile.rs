//! Rules and documents that mean harm end early, and say why.

use super::{plan, value};
use crate::mapping::{Filter, IssueCode, LookupSet, Plan, Vars};
use crate::value::Value;

#[test]
fn hostile_expressions_are_refused_and_never_panic() {
    for text in [
        "(".repeat(1_500),
        "!".repeat(1_500),
        "-".repeat(1_999),
        "a.".repeat(900),
        "1+".repeat(999) + "1",
        "x?".repeat(500),
        "\"".into(),
    ] {
        assert!(Filter::compile(&text).is_err(), "{text:.20}");
    }
}

fn lines(count: usize, line: &str) -> Value {
    value(&format!(r#"{{"lines":[{}]}}"#, vec![line; count].join(",")))
}

fn costs(rules: &str, document: &Value) -> String {
    let issues = plan(rules).apply(document, &LookupSet::default(), &Vars::default()).unwrap_err();
    let last = issues.last().unwrap();
    assert_eq!(last.code, IssueCode::TooMany);
    assert_eq!(issues.iter().filter(|issue| issue.code == IssueCode::TooMany).count(), 1);
    last.sentence.clone()
}

#[test]
fn a_rule_that_copies_all_lines_for_each_line_ends_early() {
    let document = lines(5_000, r#"{"a":"x"}"#);
    for copy in [r#""expr":"$root.lines""#, r#""from":"$root.lines""#, r#""from":"$parent.lines","as":"json""#] {
        let rules = format!(r#"[{{"to":"l","each":"lines","rules":[{{"to":"a",{copy}}}]}}]"#);
        assert_eq!(costs(&rules, &document), "the mapping writes more than 200,000 values");
    }
    let nested = r#"[{"to":"l","each":"lines","rules":[{"to":"m","each":"$root.lines","rules":[{"to":"n","default":1}]}]}]"#;
    assert_eq!(costs(nested, &document), "the mapping writes more than 200,000 values");
}

#[test]
fn rules_that_add_one_row_each_to_a_long_list_end_early() {
    let mut document = lines(5_000, "1");
    if let Value::Map(map) = &mut document {
        map.insert("one".into(), Value::List(vec![Value::Null]));
    }
    let adding = vec![r#"{"to":"l[]","each":"one","rules":[]}"#; 900].join(",");
    let rules = format!(r#"[{{"to":"l","each":"lines","rules":[]}},{adding}]"#);
    assert!(costs(&rules, &document).starts_with("the mapping takes more than 2,000,000 steps"));
}

#[test]
fn text_and_defaults_count_as_well() {
    let mut document = lines(100, "1");
    if let Value::Map(map) = &mut document {
        map.insert("note".into(), Value::Text("x".repeat(1_000_000)));
    }
    let copied = r#"[{"to":"l","each":"lines","rules":[{"to":"a","from":"$root.note"}]}]"#;
    assert_eq!(costs(copied, &document), "the mapping writes more than 32 MiB of text");
    let default =
        format!(r#"[{{"to":"l","each":"lines","rules":[{{"to":"a","from":"none","default":"{}"}}]}}]"#, "x".repeat(1_000_000));
    assert_eq!(costs(&default, &document), "the mapping writes more than 32 MiB of text");
    let read =
        r#"[{"to":"l","each":"lines","rules":[{"to":"a","expr":"contains($root.note, 'y') || contains($root.note, 'z')"}]}]"#;
    assert!(costs(read, &document).starts_with("the mapping takes more than 2,000,000 steps"), "{read}");
}

#[test]
fn an_expression_that_reads_everything_for_each_line_ends_early() {
    let document = lines(5_000, r#"{"a":1,"b":[{"c":1},{"c":2}]}"#);
    for expr in ["sum($root.lines.b.c)", "max($root.lines.a, 1)", "$root.lines.b.c[0]"] {
        let rules = format!(r#"[{{"to":"l","each":"lines","rules":[{{"to":"a","expr":"{expr}"}}]}}]"#);
        assert!(costs(&rules, &document).starts_with("the mapping takes more than 2,000,000 steps"), "{expr}");
    }
    let when = r#"[{"to":"l","each":"lines","rules":[{"to":"a","default":1,"when":"count($root.lines.a) > 0"}]}]"#;
    assert!(costs(when, &document).starts_with("the mapping takes more than 2,000,000 steps"));
    let sums = vec!["sum(lines.b.c)"; 90].join("+");
    assert!(Filter::compile(&sums).unwrap().passes(&document).unwrap_err().contains("more than 2,000,000 steps"));
    assert!(Filter::compile("sum(lines.b.c) == 15000").unwrap().passes(&document).unwrap());
}

#[test]
fn an_ordinary_order_of_five_thousand_lines_is_cheap_enough() {
    let document =
        lines(5_000, r#"{"sku":"HAT","qty":2,"price":"1.10","taxes":[{"rate":0.1,"amount":"0.22"}],"off":[{"amount":"0.10"}]}"#);
    let rule = |to: &str, expr: &str| format!(r#"{{"to":"{to}","expr":"{expr}"}}"#);
    let rules: Vec<String> =
        (0..14).map(|n| rule(&format!("f{n}"), "qty * price - sum(off.amount) + sum(taxes.amount)")).collect();
    let rules = format!(
        r#"[{{"to":"l","each":"lines","rules":[{},{{"to":"t","each":"taxes","rules":[{{"to":"r","from":"rate"}}]}}]}}]"#,
        rules.join(",")
    );
    assert!(plan(&rules).apply(&document, &LookupSet::default(), &Vars::default()).is_ok());
}

#[test]
fn a_path_that_would_nest_without_end_is_refused() {
    for rule in [
        format!(r#"{{"to":"{}a","default":1}}"#, "a.".repeat(100_000)),
        format!(r#"{{"to":"a","from":"{}a"}}"#, "a.".repeat(100_000)),
    ] {
        assert!(Plan::compile(&serde_json::from_str(&format!("[{rule}]")).unwrap()).is_err());
    }
}

/// Numbers that are the same in every run (SplitMix64).
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut n = self.0;
        n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((n ^ (n >> 31)) % end as u64).unwrap()
    }

    fn one_of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

/// Expressions that multiply what they read: lists of all lines, texts put together, nested as deep as it goes.
fn hostile_expression(random: &mut Seeded, depth: usize) -> String {
    const LEAVES: &[&str] = &[
        "$root.lines",
        "$root.lines.b.c",
        "$root.lines[7].a",
        "count($root.lines)",
        "$this",
        "$root",
        "$index",
        "79228162514264337593543950335",
        "'x'",
        "3",
    ];
    if depth == 0 {
        return random.one_of(LEAVES).to_owned();
    }
    let mut inner = || hostile_expression(random, depth - 1);
    let (a, b, c) = (inner(), inner(), inner());
    match random.below(12) {
        0 => format!("({a} & {b} & {c})"),
        1 => format!("replace({a}, 'x', {b})"),
        2 => format!("join({a}, {b})"),
        3 => format!("({a} * {b})"),
        4 => format!("pad_left({a}, 60000, 'x')"),
        5 => format!("sum({a})"),
        6 => format!("distinct({a})"),
        7 => format!("({a} / {b})"),
        8 => format!("concat({a}, {b}, {c})"),
        9 => format!("({a} ? {b} : {c})"),
        10 => format!("round({a}, {b})"),
        _ => format!("max({a}, {b}, {c})"),
    }
}

fn hostile_rule(random: &mut Seeded, depth: usize) -> String {
    let to = random.one_of(&["a", "a.b", "a.b.c.d.e.f", "l"]);
    let nesting = random.below(4);
    let expression = hostile_expression(random, nesting);
    let quoted = serde_json::to_string(&expression).unwrap();
    if depth == 0 {
        let more = random.one_of(&["", r#","as":"money""#, r#","lookup":"none""#, r#","as":"json""#, r#","required":true"#]);
        return format!(r#"{{"to":"{to}","expr":{quoted}{more}}}"#);
    }
    let list = random.one_of(&["$root.lines", "$root.lines.b", "lines", "$root", "$this"]);
    let extra = match random.below(4) {
        0 => format!(r#","where":{quoted}"#),
        1 => r#","flatten":"$root.lines""#.to_owned(),
        2 => format!(r#","group_by":{quoted}"#),
        _ => String::new(),
    };
    let rules: Vec<String> = (0..1 + random.below(3)).map(|_| hostile_rule(random, depth - 1)).collect();
    format!(r#"{{"to":"{to}","each":"{list}"{extra},"rules":[{}]}}"#, rules.join(","))
}

#[test]
fn hostile_mappings_end_within_their_bounds() {
    let document = lines(1_000, r#"{"a":"xxxxxxxxxxxxxxxx","b":[{"c":1},{"c":2},{"c":"x"}]}"#);
    let (mut compiled, mut answered, mut stopped) = (0, 0, 0);
    for seed in 0..150 {
        let mut random = Seeded(seed);
        let depth = random.below(5);
        let rules: Vec<String> = (0..1 + random.below(4)).map(|_| hostile_rule(&mut random, depth)).collect();
        let Ok(plan) = Plan::compile(&serde_json::from_str(&format!("[{}]", rules.join(","))).unwrap()) else { continue };
        compiled += 1;
        match plan.apply(&document, &LookupSet::default(), &Vars::default()) {
            Ok(out) => {
                answered += 1;
                // What may be written, with room for the marks of JSON.
                assert!(out.to_json().len() < 64 * 1024 * 1024, "seed {seed}");
            }
            Err(issues) => {
                assert!(issues.len() <= 50, "seed {seed}");
                stopped += usize::from(issues.iter().any(|issue| issue.code == IssueCode::TooMany));
            }
        }
    }
    // The test would say nothing if all of them were refused before they ran, or if none was ended.
    assert!(compiled > 50 && answered > 5 && stopped > 5, "{compiled} compiled, {answered} answered, {stopped} ended early");
}

#[test]
fn rules_that_are_too_deep_or_too_many_do_not_compile() {
    let deep =
        (0..20).fold(r#"{"to":"x","from":"y"}"#.to_owned(), |inner, _| format!(r#"{{"to":"l","each":"l","rules":[{inner}]}}"#));
    let many = vec![r#"{"to":"x","from":"y"}"#; 100_000].join(",");
    let wrong = vec![r#"{"to":"x","expr":"("}"#; 900].join(",");
    for (rules, what) in [(deep, "nested deeper than 8"), (many, "more than 1000 rules"), (wrong, "ends early")] {
        let errors = Plan::compile(&serde_json::from_str(&format!("[{rules}]")).unwrap()).unwrap_err();
        assert!(errors.to_string().contains(what) && errors.0.len() <= 100, "{what}: {}", errors.0.len());
    }
}

#[test]
fn threat_expression_has_no_way_to_the_system_and_no_loop() {
    for text in [
        "{{7*7}}",
        "${env}",
        "${HOME}",
        "<%= 7*7 %>",
        "env('HOME')",
        "read('/etc/passwd')",
        "http('http://127.0.0.1/')",
        "now()",
        "random()",
        "matches(a, '(a+)+$')",
        "repeat('x', 1000000000)",
        "constructor.constructor('return 1')()",
        "x => x",
        "a = 1",
        "a; b",
        "while (true) {}",
        "function f() { f() }",
        "include 'x'",
        "`id`",
    ] {
        assert!(Filter::compile(text).is_err(), "{text}");
    }
    // A name that means something elsewhere is a field that is not there.
    for name in ["__proto__", "constructor", "this", "self", "process", "__class__"] {
        assert!(Filter::compile(&format!("is_empty({name})")).unwrap().passes(&value("{}")).unwrap(), "{name}");
    }
}

#[test]
fn threat_expression_of_huge_numbers_and_texts_ends_at_once() {
    let began = std::time::Instant::now();
    let documents = [
        r#"{"a":1e999999999,"b":1e-999999999,"text":"1e999999999"}"#,
        r#"{"a":79228162514264337593543950335,"b":-79228162514264337593543950335,"text":"79228162514264337593543950336"}"#,
        r#"{"a":1e28,"b":1e-28,"text":"0.00000000000000000000000000001"}"#,
    ];
    let (mut answered, mut refused) = (0, 0);
    for json in documents {
        let document = value(json);
        for expression in [
            "a * a",
            "a + b",
            "b / a",
            "a / b",
            "a * b * a * b * a",
            "number(text) * number(text)",
            "1e999999999 * a",
            "round(a, 1000000000)",
            "round(a, -1000000000)",
            "to_minor(a, 'KWD')",
            "from_epoch(a)",
            "pad_left(text, 1000000000, 'x')",
            "substring(text, 0, 1000000000)",
            "replace(text, '', text)",
            "join(split(text, ''), text)",
            "convert_unit(a, 'kg', 'g')",
        ] {
            let Ok(filter) = Filter::compile(&format!("!is_empty(text({expression}))")) else { continue };
            match filter.passes(&document) {
                Ok(_) => answered += 1,
                Err(why) => {
                    assert!(!why.is_empty() && why.len() < 1_000, "{expression} of {json}: {why}");
                    refused += 1;
                }
            }
        }
    }
    assert!(answered > 3 && refused > 3, "{answered} answered, {refused} refused");
    assert!(began.elapsed() < std::time::Duration::from_secs(2), "{:?}", began.elapsed());
}
