//! The expressions of a low-code manifest: Jinja, rendered to text, which is then read as a Python literal ([`Literal`]).
//!
//! They make requests, pick pages and filter, and never reach a canonical value. A tenant wrote them, so an expression has fuel, which pays
//! for each step and for the bytes it makes, and a text of more than [`TEXT_BYTES_MAX`] cannot come into one.

mod functions;
mod time;
mod values;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use domain::value::Value;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};

use super::ImportError;
use super::literal::{self, Literal};
use functions::FUNCTIONS;
pub(crate) use values::Headers;
pub(crate) use values::of as jinja_value;

/// Steps of an expression, and 64 bytes that it makes.
const FUEL: u64 = 50_000;
/// Brackets within brackets and calls within calls.
const RECURSION_MAX: usize = 64;
/// An expression is a line, seldom a paragraph.
pub(crate) const TEMPLATE_BYTES_MAX: usize = 16 * 1024;
/// Operators, calls and steps of one template. The library builds a tree as deep as a chain of them is long (`1 ~ 1 ~ 1`, `- - - 1`, `f()()()`),
/// and walks it by recursion, so that a longer one would overflow the stack, which nobody can catch.
const OPERATORS_MAX: usize = 500;
/// One text that an expression reads.
pub(crate) const TEXT_BYTES_MAX: usize = 256 * 1024;
/// The name of the time among the variables: an expression cannot write it.
pub(crate) const NOW: &str = "now utc";

/// What the names of an expression stand for.
#[derive(Clone, Default)]
pub(crate) struct Scope(BTreeMap<String, minijinja::Value>);

impl std::fmt::Debug for Scope {
    /// The names only: `config` holds secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Scope {
    pub(crate) fn new(config: &Value, now: DateTime<Utc>) -> Scope {
        Scope::default().with("config", values::of(config)).at(now)
    }

    pub(crate) fn at(mut self, now: DateTime<Utc>) -> Scope {
        self.0.insert(NOW.to_owned(), now.timestamp_micros().into());
        self
    }

    pub(crate) fn with(mut self, name: &str, value: minijinja::Value) -> Scope {
        self.0.insert(name.to_owned(), value);
        self
    }

    pub(crate) fn and(&self, name: &str, value: &Value) -> Scope {
        self.clone().with(name, values::of(value))
    }

    /// The text of a template; nothing where it leans on what is not there.
    fn render(&self, template: &str) -> Result<Option<String>, ImportError> {
        if !template.contains('{') {
            return Ok(Some(template.to_owned()));
        }
        let wrong = |why: String| ImportError::Expression { expression: shortened(template), why };
        bounded(template).map_err(wrong)?;
        let compiled = environment().template_from_str(template).map_err(|error| wrong(explain(&error)))?;
        // A name that nobody knows is a misspelt one, and would silently be nothing.
        let mut unknown: Vec<String> = compiled.undeclared_variables(false).into_iter().collect();
        unknown.retain(|name| !self.0.contains_key(name) && !FUNCTIONS.contains(&name.as_str()));
        if !unknown.is_empty() {
            unknown.sort_unstable();
            return Err(wrong(format!("there is no {} here", unknown.join(", "))));
        }
        match compiled.render(&self.0) {
            Ok(text) => Ok(Some(text)),
            Err(error) if is_undefined(&error) => Ok(None),
            Err(error) => Err(wrong(explain(&error))),
        }
    }

    /// The value of a template.
    ///
    /// # Errors
    /// Where it cannot be computed, or leans on what is not there.
    pub(crate) fn value(&self, template: &str) -> Result<Literal, ImportError> {
        Ok(self.rendered(template)?.1)
    }

    /// The text of a template, and the value that it means.
    pub(crate) fn rendered(&self, template: &str) -> Result<(String, Literal), ImportError> {
        let missing = || ImportError::Expression {
            expression: shortened(template),
            why: "it reads a field of something that is not there; use .get('…', {})".to_owned(),
        };
        let text = self.render(template)?.ok_or_else(missing)?;
        let value = Literal::read(&text);
        Ok((text, value))
    }

    /// The value of a template; nothing where it is empty or leans on what is not there.
    pub(crate) fn optional(&self, template: &str) -> Result<Option<Literal>, ImportError> {
        Ok(self.render(template)?.filter(|text| !text.is_empty()).map(|text| Literal::read(&text)))
    }

    /// The rendered text, for what is a text or a list and nothing else.
    pub(crate) fn text_or_list(&self, template: &str) -> Result<Option<Value>, ImportError> {
        let Some(text) = self.render(template)?.filter(|text| !text.is_empty()) else { return Ok(None) };
        Ok(Some(match Literal::read(&text) {
            Literal::Value(value @ (Value::Text(_) | Value::List(_))) => value,
            _ => Value::Text(text),
        }))
    }

    pub(crate) fn text(&self, template: &str) -> Result<String, ImportError> {
        Ok(self.value(template)?.to_text())
    }

    pub(crate) fn is_true(&self, template: &str) -> Result<bool, ImportError> {
        let Some(found) = self.optional(template)? else { return Ok(false) };
        let value = found.into_value();
        let named_false = matches!(value.as_str(), Some("False" | "false" | "{}" | "[]" | "()" | "" | "0" | "0.0"));
        Ok(!named_false && literal::is_true(&value))
    }
}

/// What is wrong with a template before it is ever used: its grammar, or a filter or a function that we do not have.
pub(crate) fn check(template: &str) -> Result<(), String> {
    if !template.contains('{') {
        return Ok(());
    }
    bounded(template)?;
    environment().template_from_str(template).map_err(|error| explain(&error))?;
    functions::unknown_filter(template).map_or(Ok(()), |filter| Err(format!("the filter {filter} is not run")))
}

/// Counted everywhere, in texts and comments too: whoever looks for where an expression ends can be led astray.
fn bounded(template: &str) -> Result<(), String> {
    if template.len() > TEMPLATE_BYTES_MAX {
        return Err(format!("it is longer than {TEMPLATE_BYTES_MAX} bytes"));
    }
    let signs = template.bytes().filter(|byte| b"-+*/%~|.([<>=!".contains(byte)).count();
    let words = template.split(|c: char| !c.is_alphanumeric() && c != '_');
    let words = words.filter(|word| matches!(*word, "not" | "and" | "or" | "if" | "elif" | "is" | "in")).count();
    if signs + words > OPERATORS_MAX {
        return Err(format!("it has more than {OPERATORS_MAX} operators and calls"));
    }
    Ok(())
}

fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut environment = Environment::new();
        for global in ["range", "dict", "namespace", "debug"] {
            environment.remove_global(global);
        }
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(RECURSION_MAX);
        environment.set_formatter(|out, _, value| values::write(out, value));
        environment.set_unknown_method_callback(values::method);
        functions::add(&mut environment);
        environment
    })
}

fn is_undefined(error: &minijinja::Error) -> bool {
    error.kind() == ErrorKind::UndefinedError
}

fn explain(error: &minijinja::Error) -> String {
    let text = error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    shortened(&text)
}

fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 160;
    match text.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use domain::value::Limits;
    use proptest::prelude::*;

    use super::*;

    fn scope() -> Scope {
        let json = |text: &str| Value::parse(text.as_bytes(), &Limits::DEFAULT).unwrap();
        Scope::new(
            &json(r#"{"start":"2024-01-01","n":3,"list":["a","b"],"on":true,"none":null}"#),
            "2026-11-24T09:30:00Z".parse().unwrap(),
        )
        .and("record", &json(r#"{"id":123456789012345678,"price":1.5,"name":"O'Hara","tags":["x"],"address":{"city":"Ulm"}}"#))
    }

    #[test]
    fn an_expression_means_what_it_means_in_python() {
        for (template, written) in [
            ("plain", "'plain'"),
            ("{{ config['start'] }}", "'2024-01-01'"),
            ("{{ config.n + 1 }}", "4"),
            ("{{ config['list'] }}", "['a', 'b']"),
            ("{{ config.on }}", "True"),
            ("{{ config.none }}", "None"),
            ("{{ record.id }}", "123456789012345678"),
            ("{{ record['price'] }}", "1.5"),
            (
                "{{ record }}",
                "{'id': 123456789012345678, 'price': 1.5, 'name': \"O'Hara\", 'tags': ['x'], 'address': {'city': 'Ulm'}}",
            ),
            ("{{ record.get('nope', 'x') }}", "'x'"),
            ("{{ config.get('nope') or '' }}", "''"),
            ("{{ 'a,b'.split(',')[1] }}", "'b'"),
            ("{{ 'name' in record and record['address'].city == 'Ulm' }}", "True"),
            ("{{ max(2, 3) }}-{{ min(2, 3) }}", "'3-2'"),
            ("{{ now_utc().strftime('%Y-%m-%dT%H:%M:%SZ') }}", "'2026-11-24T09:30:00Z'"),
            ("{{ (now_utc() - duration('P1DT30M')).strftime('%Y-%m-%dT%H:%M') }}", "'2026-11-23T09:00'"),
            ("{{ now_utc() }}", "'2026-11-24 09:30:00+00:00'"),
            ("{{ today_utc() }}", "'2026-11-24'"),
            ("{{ today_utc() - duration('P1M') }}", "'2026-10-24'"),
            ("{{ day_delta(-25, format='%Y-%m-%d') }}", "'2026-10-30'"),
            ("{{ timestamp('2024-01-01T00:00:00Z') }}", "1704067200.0"),
            ("{{ timestamp('2024-01-01T00:00:00Z') | int }}", "1704067200"),
            ("{{ format_datetime('2024-01-01T10:00:00Z', '%s') }}", "1704103200"),
            ("{{ format_datetime('01.02.2024', '%Y-%m-%d', '%d.%m.%Y') }}", "'2024-02-01'"),
            ("{{ 'abc' | hash('sha256') }}", "'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'"),
            ("{{ 'abc' | hash }}", "'900150983cd24fb0d6963f7d28e17f72'"),
            ("{{ 'abc' | base64encode | base64decode }}", "'abc'"),
            ("{{ record['tags'] | string }}", "'[\"x\"]'"),
            ("{{ 'order-17' | regex_search('([0-9]+)') }}", "17"),
            ("{% if config.on %}yes{% else %}no{% endif %}", "'yes'"),
        ] {
            let value = scope().value(template).unwrap_or_else(|error| panic!("{template}: {error}")).into_value();
            assert_eq!(literal::repr(&value), written, "{template}");
        }
    }

    #[test]
    fn what_is_not_there_is_nothing_or_an_error_and_never_a_guess() {
        assert_eq!(scope().optional("{{ config.nope.deeper }}").unwrap(), None);
        assert!(scope().value("{{ config.nope.deeper }}").unwrap_err().to_string().contains("not there"));
        assert!(scope().value("{{ recrod.id }}").unwrap_err().to_string().contains("there is no recrod here"));
        assert!(!scope().is_true("{{ config.nope }}").unwrap());
        assert!(scope().is_true("{{ record.id > 5 }}").unwrap());
        assert!(!scope().is_true("{{ 0 }}").unwrap());
    }

    #[test]
    fn an_expression_without_end_or_measure_ends() {
        for template in [
            "{{ 'x' * 1000000000 }}",
            "{% set a = 'x' * 100000 %}{% set b = a ~ a ~ a ~ a %}{% set c = b ~ b ~ b ~ b ~ b ~ b %}{% set d = c ~ c ~ c ~ c %}{{ d ~ d }}",
            "{{ range(1000000000) }}",
            "{% for a in 'xxxxxxxxxx' * 1000 %}{% for b in 'xxxxxxxxxx' * 1000 %}{% for c in 'xxxxx' * 1000 %}x{% endfor %}{% endfor %}{% endfor %}",
        ] {
            assert!(scope().value(template).is_err(), "{template}");
        }
    }

    #[test]
    fn no_chain_is_long_enough_to_overflow_the_stack() {
        let after = ["~1", "+1", " and 1", "|int", "()", ".a", "[0]", "**1", " if 1 else 1"].map(|next| ("config", next, ""));
        for (first, next, last) in after.into_iter().chain([("", "-", "1"), ("", "not ", "1")]) {
            let template = |count: usize| format!("{{{{ {first}{}{last} }}}}", next.repeat(count));
            let refusal = check(&template(1_200)).unwrap_err();
            assert!(refusal.contains("more than 500 operators"), "{next}: {refusal}");
            // As long as it may be: any end is well, but for that of the process.
            let _ = scope().value(&template(OPERATORS_MAX / 2));
            let _ = scope().value(&template(OPERATORS_MAX - 1));
        }
    }

    #[test]
    fn a_filter_that_we_do_not_have_is_found_before_it_is_used() {
        assert_eq!(check("{{ a | lower | upperr }}"), Err("the filter upperr is not run".to_owned()));
        assert_eq!(check("{{ 'a | b' | lower }} {{ a or b }}"), Ok(()));
        assert!(check("{{ a | }}").is_err());
    }

    proptest! {
        #[test]
        fn no_template_makes_it_panic(
            before in ".{0,10}",
            inside in r#"([a-z'"(){}\[\].,|+*/%~<>=! 0-9-]|config|record|now_utc\(\)|duration\('P1D'\)|day_delta\(|format_datetime\(|hash|base64decode|strftime|split){0,12}"#,
        ) {
            for template in [format!("{before}{{{{ {inside} }}}}"), format!("{{% {inside} %}}"), inside] {
                let _ = check(&template);
                let _ = scope().value(&template);
                let _ = scope().is_true(&template);
            }
        }
    }
}
