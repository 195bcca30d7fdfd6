//! What is said where there is no answer, or no plan.

use super::{apply, compile_error, plan, tables, value};
use crate::mapping::{IssueCode, LookupSet, Plan, Vars};

#[test]
fn an_empty_text_is_nothing_where_something_is_required() {
    for (rules, document) in [
        (r#"[{"to":"n","from":"n","as":"text","required":true}]"#, r#"{"n":""}"#),
        (r#"[{"to":"n","from":"n","required":true}]"#, r#"{"n":""}"#),
        (r#"[{"to":"n","expr":"replace(n, '#', '')","required":true}]"#, r##"{"n":"#"}"##),
        (r#"[{"to":"n","from":"n","as":"json","required":true}]"#, r#"{"n":""}"#),
    ] {
        let issues = apply(rules, document, &LookupSet::default()).unwrap_err();
        assert_eq!(issues[0].code, IssueCode::Required, "{rules}");
    }
}

#[test]
fn errors_name_the_rule_and_the_column() {
    let rules = r#"[{"to":"a","expr":"1 +"},{"to":"l","each":"x","rules":[{"to":"b","expr":"summ(y)"}]},{"to":"c"}]"#;
    let errors = Plan::compile(&serde_json::from_str(rules).unwrap()).unwrap_err().to_string();
    assert!(errors.contains("rules[0].expr: the expression ends early at column 4"), "{errors}");
    assert!(errors.contains("rules[1].rules[0].expr: there is no function \"summ\""), "{errors}");
    assert!(errors.contains("rules[2]: exactly one of"), "{errors}");
}

#[test]
fn no_rule_writes_what_cannot_be_stored() {
    for rule in [r#"{"to":"a","expr":"'\u0000'"}"#, r#"{"to":"a","default":["\u0000"]}"#, r#"{"to":"\u0000","from":"a"}"#] {
        let errors = Plan::compile(&serde_json::from_str(&format!("[{rule}]")).unwrap()).unwrap_err();
        assert!(errors.to_string().contains("U+0000"), "{errors}");
    }
}

#[test]
fn all_issues_come_at_once_with_their_place() {
    let plan = plan(
        r#"[{"to":"n","from":"n","required":true},{"to":"lines","each":"l","rules":[{"to":"sku","from":"s","lookup":"SKUs"},{"to":"q","from":"q","as":"int"}]}]"#,
    );
    let tables: LookupSet = [("SKUs".to_owned(), [("a".to_owned(), "1".to_owned())].into())].into_iter().collect();
    let issues = plan.apply(&value(r#"{"l":[{"s":"a","q":1},{"s":"b","q":1.5}]}"#), &tables, &Vars::default()).unwrap_err();
    let places: Vec<(&str, IssueCode)> = issues.iter().map(|i| (i.to.as_str(), i.code)).collect();
    assert_eq!(places, [("n", IssueCode::Required), ("lines[1].sku", IssueCode::NoEntry), ("lines[1].q", IssueCode::BadType)]);
}

#[test]
fn an_issue_names_rule_row_value_and_what_to_do() {
    let rules = r#"[{"to":"n","from":"n","required":true},{"to":"lines","each":"l","rules":[{"to":"sku","from":"s","lookup":"SKUs"},{"to":"p","expr":"a / b"}]}]"#;
    let skus = tables(&[("SKUs", &[("a", "1")])]);
    let issues = apply(rules, r#"{"l":[{"s":"a","a":1,"b":1},{"s":"HAT","a":1,"b":0}]}"#, &skus).unwrap_err();
    let shown: Vec<String> = issues.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "n: the field n is required and has no value (rules[0]). Fill in n at the source, or give the rule a default.",
            "lines[1].sku: the value \"HAT\" has no entry in the table \"SKUs\" (rules[1].rules[0]). Add it to the table \"SKUs\", or let the rule keep it or write its default (on_missing).",
            "lines[1].p: division by zero at column 3 (rules[1].rules[1]). Ask first whether there is anything to divide by: b != 0 ? a / b : 0.",
        ]
    );
    assert_eq!(issues[1].value.as_deref(), Some("HAT"));
}

#[test]
fn what_cannot_compile_says_where_and_what_was_meant() {
    for (rules, what) in [
        (r#"[{"to":"a","expr":"summ(x)"}]"#, "rules[0].expr: there is no function \"summ\"; did you mean sum? at column 1"),
        (r#"[{"to":"a","expr":"1 + sum(x, y)"}]"#, "rules[0].expr: sum takes one value, not 2 at column 5"),
        (
            r#"[{"to":"a","expr":"$parent.x"}]"#,
            "rules[0].expr: there is no $parent here; it is for the rules of a list at column 1",
        ),
        (
            r#"[{"to":"a","from":"$group.key"}]"#,
            "rules[0].from: there is no $group here; it is for the rules of a list with group_by",
        ),
        (
            r#"[{"to":"a","from":"x","as":"money","round":{"scope":"order","mode":"up","digits":2}}]"#,
            "here is no list around the rule",
        ),
        (
            r#"[{"to":"a","from":"x","as":"money","round":{"scope":"line","mode":"up"}}]"#,
            "exactly one of \"digits\" and \"currency\"",
        ),
        (
            r#"[{"to":"a","from":"x","as":"text","round":{"scope":"line","mode":"up","digits":2}}]"#,
            "only a rule that writes \"as: money\"",
        ),
        (
            r#"[{"to":"l","each":"x","rules":[{"to":"a","from":"w","allocate":"t","as":"money"}]}]"#,
            "\"allocate\" needs \"round\"",
        ),
        (r#"[{"to":"a","from":"x","as":"timestamp","zone":"Mars"}]"#, "rules[0].zone: there is no time zone \"Mars\""),
        (r#"[{"to":"a[]","from":"x"}]"#, "rules[0].to: \"[]\" at the end adds the rows of a list, which needs \"each\""),
        (r#"[{"to":"[]","each":"x","rules":[]}]"#, "rules[0].to: \"[]\" is no field path"),
        (r#"[{"to":"a","from":"x","where":"y"}]"#, "rules[0].where: \"where\" within a rule needs \"each\""),
    ] {
        assert!(compile_error(rules).contains(what), "{}\n{what}", compile_error(rules));
    }
}
