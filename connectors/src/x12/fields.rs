//! The elements of one segment become fields: types, lengths, codes, and which need each other.

use std::sync::Arc;

use domain::value::{Map, Value};

use super::dictionary::{Element, ElementSpec, Part, RelationKind, SegmentSpec};
use super::element;
use super::issue::{Issue, IssueCode, IssueElement};
use super::segment::Segment;
use super::take::{Taking, issue};

/// Number, component, the standard's number of the element, and what trees call it.
type Whose<'a> = (usize, Option<usize>, &'a str, &'a str);

impl Taking<'_> {
    pub(super) fn fields(&mut self, spec: &SegmentSpec, segment: &Segment<'_>, position: usize) -> Map {
        let (mut map, mut number) = (Map::new(), 0);
        for element in &spec.elements {
            let found = match element {
                Element::Simple(part) => self.simple(segment, position, number + 1, part).map(Value::Text),
                Element::Composite { required, parts, number: reference, name } => {
                    let whose = (reference.as_str(), name.as_str());
                    self.composite(segment, position, number + 1, (*required, parts, whose))
                }
                Element::Pairs { name, key, value, count } => self.pairs(segment, position, number, (name, key, value, *count)),
            };
            if let Some(found) = found {
                map.insert(element.name().to_owned(), found);
            }
            number += element.width();
        }
        if segment.is_too_long || segment.elements.iter().skip(number).any(|element| !element.is_empty()) {
            self.element_issue(segment, position, (number + 1, None, "", ""), IssueCode::TooManyElements);
        }
        self.relations(spec, segment, position);
        map
    }

    fn relations(&mut self, spec: &SegmentSpec, segment: &Segment<'_>, position: usize) {
        let is_there = |number: &&usize| !segment.element(**number).is_empty() || segment.not_text == Some(**number);
        for rule in &spec.rules {
            let there = rule.numbers.iter().filter(is_there).count();
            let is_first = is_there(&&rule.numbers[0]);
            let first_missing = rule.numbers.iter().find(|number| !is_there(number)).copied().unwrap_or_default();
            let broken = match rule.kind {
                RelationKind::Paired if there > 0 && there < rule.numbers.len() => Some(first_missing),
                RelationKind::Required if there == 0 => Some(first_missing),
                RelationKind::Conditional if is_first && there < rule.numbers.len() => Some(first_missing),
                RelationKind::List if is_first && there == 1 => Some(first_missing),
                RelationKind::Exclusive if there > 1 => {
                    let second = rule.numbers.iter().filter(is_there).nth(1).copied().unwrap_or_default();
                    let (reference, name) = spec.at(second).unwrap_or_default();
                    self.element_issue(
                        segment,
                        position,
                        (second, None, reference, name),
                        IssueCode::Excluded { rule: rule.to_string() },
                    );
                    None
                }
                _ => None,
            };
            if let Some(number) = broken {
                let (reference, name) = spec.at(number).unwrap_or_default();
                self.element_issue(
                    segment,
                    position,
                    (number, None, reference, name),
                    IssueCode::MissingBeside { rule: rule.to_string() },
                );
            }
        }
    }

    fn simple(&mut self, segment: &Segment<'_>, position: usize, number: usize, part: &Part) -> Option<String> {
        let raw = segment.element(number);
        let whose = (number, None, part.spec.number.as_str(), part.name.as_str());
        if segment.not_text == Some(number) {
            self.element_issue(segment, position, whose, IssueCode::BadCharacter);
            return None;
        }
        if raw.contains(char::from(self.separators.component)) {
            self.element_issue(segment, position, whose, IssueCode::TooManyComponents);
            return None;
        }
        self.value(segment, position, whose, (&part.spec, part.required, raw))
    }

    /// One value, of an element or of a component.
    fn value(
        &mut self,
        segment: &Segment<'_>,
        position: usize,
        whose: Whose<'_>,
        (spec, required, raw): (&ElementSpec, bool, &str),
    ) -> Option<String> {
        if raw.is_empty() {
            if required {
                self.element_issue(segment, position, whose, IssueCode::Missing);
            }
            return None;
        }
        if self.separators.repetition.is_some_and(|byte| raw.contains(char::from(byte))) {
            self.element_issue(segment, position, whose, IssueCode::Repeated);
            return None;
        }
        match element::read(spec, raw, self.release) {
            Ok(text) => Some(text),
            Err(code) => {
                self.element_issue(segment, position, whose, code);
                None
            }
        }
    }

    fn composite(
        &mut self,
        segment: &Segment<'_>,
        position: usize,
        number: usize,
        (required, parts, (reference, name)): (bool, &[Part], (&str, &str)),
    ) -> Option<Value> {
        let raw = segment.element(number);
        let whole = (number, None, reference, name);
        if segment.not_text == Some(number) {
            self.element_issue(segment, position, whole, IssueCode::BadCharacter);
            return None;
        }
        if raw.is_empty() {
            if required {
                self.element_issue(segment, position, whole, IssueCode::Missing);
            }
            return None;
        }
        let mut components = raw.split(char::from(self.separators.component));
        let mut map = Map::new();
        for (index, part) in parts.iter().enumerate() {
            let raw = components.next().unwrap_or_default();
            let whose = (number, Some(index + 1), part.spec.number.as_str(), part.name.as_str());
            if let Some(text) = self.value(segment, position, whose, (&part.spec, part.required, raw)) {
                map.insert(part.name.clone(), Value::Text(text));
            }
        }
        if components.any(|rest| !rest.is_empty()) {
            self.element_issue(segment, position, whole, IssueCode::TooManyComponents);
        }
        Some(Value::Map(map))
    }

    fn pairs(
        &mut self,
        segment: &Segment<'_>,
        position: usize,
        before: usize,
        (name, key, value, count): (&str, &Arc<ElementSpec>, &Arc<ElementSpec>, usize),
    ) -> Option<Value> {
        let mut map = Map::new();
        for index in 0..count {
            let number = before + 1 + index * 2;
            let part = |spec: &Arc<ElementSpec>| Part { name: name.to_owned(), spec: Arc::clone(spec), required: false };
            let found =
                (self.simple(segment, position, number, &part(key)), self.simple(segment, position, number + 1, &part(value)));
            let is_there = (!segment.element(number).is_empty(), !segment.element(number + 1).is_empty());
            if is_there.0 != is_there.1 && segment.not_text.is_none() {
                let missing = if is_there.0 { number + 1 } else { number };
                let rule = format!("P{number:02}{:02}", number + 1);
                let reference = if is_there.0 { &value.number } else { &key.number };
                self.element_issue(segment, position, (missing, None, reference, name), IssueCode::MissingBeside { rule });
            }
            if let (Some(code), Some(text)) = found {
                let name = key.name_of(&code);
                let taken = (2..).map(|count| format!("{name}_{count}"));
                let name = std::iter::once(name.to_owned()).chain(taken).find(|name| !map.contains_key(name));
                map.extend(name.map(|name| (name, Value::Text(text))));
            }
        }
        (!map.is_empty()).then_some(Value::Map(map))
    }

    fn element_issue(
        &mut self,
        segment: &Segment<'_>,
        position: usize,
        (number, component, reference, name): Whose<'_>,
        code: IssueCode,
    ) {
        let shown = Some(segment.element(number)).filter(|value| !value.is_empty()).map(str::to_owned);
        let element = IssueElement { number, component, reference: reference.to_owned(), name: name.to_owned() };
        self.issues.push(Issue { element: Some(element), value: shown, ..issue(segment, position, code) });
    }
}
