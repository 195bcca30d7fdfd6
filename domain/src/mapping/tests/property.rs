//! What must hold for every mapping and every document, tried on many.

use std::collections::BTreeSet;
use std::str::FromStr as _;

use bigdecimal::BigDecimal;
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::{eval, plan, value};
use crate::mapping::{Filter, LookupSet, Plan, Untranslated, Vars};
use crate::value::{Arena, Limits, Tree, Value};

/// Arithmetic as a text for us, and as another library works it out.
#[derive(Debug, Clone)]
enum Sum {
    Number(i64, u32),
    Add(Box<Sum>, Box<Sum>),
    Subtract(Box<Sum>, Box<Sum>),
    Multiply(Box<Sum>, Box<Sum>),
    Negate(Box<Sum>),
}

impl Sum {
    fn text(&self) -> String {
        match self {
            Sum::Number(n, scale) => {
                let number = Decimal::new(*n, *scale);
                if *n < 0 { format!("({number})") } else { number.to_string() }
            }
            Sum::Add(a, b) => format!("({} + {})", a.text(), b.text()),
            Sum::Subtract(a, b) => format!("({} - {})", a.text(), b.text()),
            Sum::Multiply(a, b) => format!("{} * {}", a.text(), b.text()),
            Sum::Negate(a) => format!("-({})", a.text()),
        }
    }

    fn exact(&self) -> BigDecimal {
        match self {
            Sum::Number(n, scale) => BigDecimal::new((*n).into(), i64::from(*scale)),
            Sum::Add(a, b) => a.exact() + b.exact(),
            Sum::Subtract(a, b) => a.exact() - b.exact(),
            Sum::Multiply(a, b) => a.exact() * b.exact(),
            Sum::Negate(a) => -a.exact(),
        }
    }

    /// Every part fits 28 digits, however it is written: then nothing is rounded anywhere.
    fn fits(&self) -> bool {
        let digits = |n: &BigDecimal| n.digits().max(n.as_bigint_and_exponent().1.unsigned_abs()) <= 28;
        digits(&self.exact())
            && match self {
                Sum::Number(..) => true,
                Sum::Add(a, b) | Sum::Subtract(a, b) | Sum::Multiply(a, b) => a.fits() && b.fits(),
                Sum::Negate(a) => a.fits(),
            }
    }
}

fn sum() -> impl Strategy<Value = Sum> {
    let number = (any::<i64>(), 0_u32..7, 0_u32..18).prop_map(|(n, scale, less)| Sum::Number(n / 10_i64.pow(less), scale));
    number.prop_recursive(4, 16, 2, |inner| {
        let pair = (inner.clone().prop_map(Box::new), inner.clone().prop_map(Box::new));
        prop_oneof![
            pair.clone().prop_map(|(a, b)| Sum::Add(a, b)),
            pair.clone().prop_map(|(a, b)| Sum::Subtract(a, b)),
            pair.prop_map(|(a, b)| Sum::Multiply(a, b)),
            inner.prop_map(|a| Sum::Negate(Box::new(a))),
        ]
    })
}

/// A document of fields with these names, four levels deep at most.
fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1_000_i64..1_000).prop_map(Value::from),
        (0_i64..100_000).prop_map(|n| Value::from(Decimal::new(n, 2).to_string())),
        "[a-c]{0,3}".prop_map(Value::from),
    ];
    let map = |inner: BoxedStrategy<Value>| {
        prop::collection::btree_map(prop::sample::select(NAMES.to_vec()), inner, 0..5)
            .prop_map(|map| Value::Map(map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()))
    };
    let tree = leaf.prop_recursive(4, 60, 5, move |inner| {
        prop_oneof![prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List), map(inner.boxed())]
    });
    map(tree.boxed())
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn path() -> impl Strategy<Value = String> {
    let start = prop::sample::select(vec!["", "", "", "$root.", "$parent.", "$this."]);
    let names = prop::collection::vec(prop::sample::select(NAMES.to_vec()), 1..4);
    (start, names, prop::option::weighted(0.1, 0_usize..3)).prop_map(|(start, names, at)| {
        let at = at.map(|at| format!("[{at}]")).unwrap_or_default();
        format!("{start}{}{at}", names.join("."))
    })
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![4 => path(), 1 => (0_i64..100).prop_map(|n| n.to_string()), 1 => Just("'x'".to_owned()), 1 => Just("$index".to_owned())];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let one = prop::sample::select(vec![
            "count", "sum", "is_empty", "first", "last", "text", "lower", "length", "distinct", "abs", "max",
        ]);
        let operator = prop::sample::select(vec!["+", "*", "-", "/", "==", "<", "&&", "||", "&"]);
        prop_oneof![
            (one, inner.clone()).prop_map(|(name, a)| format!("{name}({a})")),
            (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn rule(depth: u32) -> BoxedStrategy<String> {
    let to = prop::sample::select(vec!["p", "q", "r.s", "r.t", "u"]);
    let kind = prop::sample::select(vec!["", "", r#","as":"text""#, r#","as":"money""#, r#","as":"json""#]);
    let when = prop::option::weighted(0.2, expression());
    let set = (
        to.clone(),
        prop_oneof![
            path().prop_map(|p| format!(r#""from":{}"#, quoted(&p))),
            expression().prop_map(|e| format!(r#""expr":{}"#, quoted(&e)))
        ],
        kind,
        when,
    )
        .prop_map(|(to, source, kind, when)| {
            let when = when.map(|when| format!(r#","when":{}"#, quoted(&when))).unwrap_or_default();
            format!(r#"{{"to":"{to}",{source}{kind}{when}}}"#)
        })
        .boxed();
    if depth == 0 {
        return set;
    }
    let extra = prop_oneof![
        3 => Just(String::new()),
        1 => expression().prop_map(|e| format!(r#","where":{}"#, quoted(&e))),
        1 => path().prop_map(|p| format!(r#","flatten":{}"#, quoted(&p))),
        1 => expression().prop_map(|e| format!(r#","group_by":{}"#, quoted(&e))),
    ];
    let each = (to, prop::sample::select(vec!["", "", "[]"]), path(), extra, prop::collection::vec(rule(depth - 1), 1..4))
        .prop_map(|(to, adds, list, extra, rules)| {
            format!(r#"{{"to":"{to}{adds}","each":{}{extra},"rules":[{}]}}"#, quoted(&list), rules.join(","))
        })
        .boxed();
    prop_oneof![2 => set, 1 => each].boxed()
}

/// Those of them that compile: `$parent` is refused where there is none.
fn mapping() -> impl Strategy<Value = Plan> {
    prop::collection::vec(rule(2), 1..6)
        .prop_filter_map("compiles", |rules| Plan::compile(&serde_json::from_str(&format!("[{}]", rules.join(","))).ok()?).ok())
}

/// Takes out what the reads do not name: `lists` keeps how many there are.
fn only_read(value: &Value, at: &str, reads: &BTreeSet<&str>) -> Option<Value> {
    let bare = |read: &str| read.replace("[]", "");
    let whole = reads.iter().any(|read| {
        let name = bare(read);
        !read.ends_with("[]") && (*read == "$root" || name == at || at.starts_with(&format!("{name}.")))
    });
    if whole {
        return Some(value.clone());
    }
    let on_the_way = at.is_empty() || reads.iter().any(|read| bare(read) == at || bare(read).starts_with(&format!("{at}.")));
    if !on_the_way {
        return None;
    }
    Some(match value {
        Value::List(list) => Value::List(list.iter().map(|value| only_read(value, at, reads).unwrap_or(Value::Null)).collect()),
        Value::Map(map) => Value::Map(
            map.iter()
                .filter_map(|(key, value)| {
                    let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                    only_read(value, &at, reads).map(|value| (key.clone(), value))
                })
                .collect(),
        ),
        plain => plain.clone(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,80}") {
        if let Ok(filter) = Filter::compile(&text) { let _ = filter.passes(&value("{}")); }
    }

    #[test]
    fn arithmetic_agrees_with_another_library_to_the_last_digit(sum in sum().prop_filter("fits 28 digits", Sum::fits)) {
        let ours = eval(&sum.text(), "{}");
        prop_assert_eq!(BigDecimal::from_str(&ours).map(|n| n.normalized()), Ok(sum.exact().normalized()), "{}", sum.text());
    }

    #[test]
    fn sums_and_quotients_agree_with_another_library(amounts in prop::collection::vec((-1_000_000_000_i64..1_000_000_000, 0_u32..6), 1..40), by in 1_i64..10_000) {
        let list = amounts.iter().map(|(n, scale)| format!("\"{}\"", Decimal::new(*n, *scale))).collect::<Vec<_>>().join(",");
        let exact: BigDecimal = amounts.iter().map(|(n, scale)| BigDecimal::new((*n).into(), i64::from(*scale))).sum();
        let json = format!(r#"{{"l":[{list}],"by":{by}}}"#);
        prop_assert_eq!(BigDecimal::from_str(&eval("sum(l)", &json)).map(|n| n.normalized()), Ok(exact.normalized()));
        let quotient = BigDecimal::from_str(&eval("sum(l) / by", &json)).unwrap();
        let off = (quotient * by - exact).abs();
        prop_assert!(off <= BigDecimal::new(by.into(), 15), "{}", off);
        let rounded = BigDecimal::from_str(&eval("round(sum(l), 2, 'half_up')", &json)).unwrap();
        prop_assert!((rounded - amounts.iter().map(|(n, scale)| BigDecimal::new((*n).into(), i64::from(*scale))).sum::<BigDecimal>()).abs() <= BigDecimal::new(5.into(), 3));
    }

    #[test]
    fn a_field_that_is_not_read_changes_nothing(plan in mapping(), document in document()) {
        let reads: BTreeSet<&str> = plan.reads().iter().map(String::as_str).collect();
        let less = only_read(&document, "", &reads).unwrap();
        let run = |document: &Value| plan.apply(document, &LookupSet::default(), &Vars::default());
        prop_assert_eq!(run(&document), run(&less), "reads {:?}", reads);
    }

    #[test]
    fn a_document_in_memory_and_one_in_bytes_map_alike(plan in mapping(), document in document()) {
        let json = document.to_json();
        let (tables, vars) = (LookupSet::default(), Vars::default());
        let (mut out, mut arena) = (String::new(), Arena::new());
        let bytes = plan.translate(json.as_bytes(), &Limits::DEFAULT, &tables, &vars, &mut arena, &mut out).map(|()| out);
        let memory = plan.apply(&document, &tables, &vars).map(|out| out.to_json()).map_err(Untranslated::Unmapped);
        prop_assert_eq!(bytes, memory);
    }

    #[test]
    fn what_is_written_was_said(plan in mapping(), document in document()) {
        if let Ok(out) = plan.apply(&document, &LookupSet::default(), &Vars::default()) {
            let writes: BTreeSet<String> = plan.writes().iter().map(|name| name.replace("[]", "")).collect();
            for (key, value) in out.as_map().unwrap() {
                let nested = matches!(value, Value::Map(_)) && writes.iter().any(|name| name.starts_with(&format!("{key}.")));
                prop_assert!(writes.contains(key) || nested, "{} is not among {:?}", key, writes);
            }
        }
    }

    #[test]
    fn a_tree_says_what_its_document_says(document in document()) {
        let (json, arena) = (document.to_json(), Arena::new());
        prop_assert_eq!(Tree::of(&document, None, &arena).to_value(), document.clone());
        let tree = Tree::parse(json.as_bytes(), &Limits::DEFAULT, None, &arena).unwrap();
        prop_assert_eq!(tree.to_json(), json);
    }
}

#[test]
fn every_field_that_is_read_can_change_what_is_written() {
    let rules = r#"[{"to":"id","from":"id"},{"to":"s","expr":"a == 'x' ? b.c : d","when":"is_empty(off)"},
        {"to":"lines","each":"lines","where":"q > 0","rules":[{"to":"sku","expr":"sku & $parent.suffix"},{"to":"t","each":"taxes","rules":[{"to":"r","from":"rate"}]}]},
        {"to":"n","expr":"count(notes)"},{"to":"first","from":"tags[0]"}]"#;
    let plan = plan(rules);
    let documents = [
        r#"{"id":1,"a":"x","b":{"c":"1"},"d":"2","lines":[{"q":1,"sku":"A","taxes":[{"rate":"5"}]}],"suffix":"!","notes":["1"],"tags":["t"]}"#,
        r#"{"id":1,"a":"y","b":{"c":"1"},"d":"2","off":"","lines":[{"q":1,"sku":"A","taxes":[{"rate":"5"}]}],"notes":[],"tags":[]}"#,
    ];
    // Each with a change of exactly that field: a value where there is one, one more where only the number counts.
    for (read, from, to) in [
        ("id", r#""id":1"#, r#""id":2"#),
        ("a", r#""a":"x""#, r#""a":"z""#),
        ("b.c", r#""c":"1""#, r#""c":"9""#),
        ("d", r#""d":"2""#, r#""d":"9""#),
        ("off", r#""off":"""#, r#""off":"y""#),
        ("lines[]", r#""lines":[{"#, r#""lines":[{"q":1},{"#),
        ("lines[].q", r#""q":1"#, r#""q":0"#),
        ("lines[].sku", r#""sku":"A""#, r#""sku":"B""#),
        ("suffix", r#""suffix":"!""#, r#""suffix":"?""#),
        ("lines[].taxes[]", r#""taxes":[{"#, r#""taxes":[{},{"#),
        ("lines[].taxes[].rate", r#""rate":"5""#, r#""rate":"6""#),
        ("notes[]", r#""notes":["#, r#""notes":["0","#),
        ("tags", r#""tags":["t""#, r#""tags":["u""#),
    ] {
        assert!(plan.reads().iter().any(|name| name == read), "{read} is not among {:?}", plan.reads());
        let run = |json: &str| plan.apply(&value(json), &LookupSet::default(), &Vars::default());
        let changes = documents.iter().any(|json| {
            let changed = json.replacen(from, to, 1);
            changed != *json && Value::parse(changed.as_bytes(), &Limits::DEFAULT).is_ok() && run(json) != run(&changed)
        });
        assert!(changes, "{read} changes nothing");
    }
    assert_eq!(plan.reads().len(), 13, "{:?}", plan.reads());
}
