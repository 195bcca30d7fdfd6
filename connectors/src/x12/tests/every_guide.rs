//! Sets that a guide allows, made by chance from the guide itself: all of them are read without an issue and written as they were.

use super::super::dictionary::{Element, ElementSpec, RelationKind, SegmentSpec};
use super::super::element::ElementKind;
use super::super::guide::{Level, Node, NodeKind};
use super::*;

const RELEASE: &str = "004010";

/// The numbers of SplitMix64 (Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end.max(1) as u64).unwrap()
    }

    fn of(&mut self, characters: &str, length: usize) -> String {
        (0..length).map(|_| char::from(characters.as_bytes()[self.below(characters.len())])).collect()
    }
}

#[derive(Default)]
struct Made {
    segments: Vec<Vec<String>>,
    lines: usize,
    hl: usize,
}

fn value(spec: &ElementSpec, dice: &mut Dice) -> String {
    let (min, max) = (spec.lengths.min, spec.lengths.max(RELEASE));
    let length = min + dice.below(max.min(12).saturating_sub(min) + 1);
    let digits = |dice: &mut Dice, length: usize| format!("{}{}", dice.of("123456789", 1), dice.of("0123456789", length - 1));
    match spec.kind {
        ElementKind::Text => dice.of("ABCabc019 .,-/&#", length),
        ElementKind::Code => match (&spec.codes, spec.names.len()) {
            (Some(codes), _) => codes.iter().nth(dice.below(codes.len())).unwrap().clone(),
            (None, count) if count > 0 && dice.below(4) > 0 => spec.names.get_index(dice.below(count)).unwrap().0.clone(),
            _ => dice.of("ABCXYZ0189", length),
        },
        ElementKind::Implied(_) => format!("{}{}", if dice.below(5) == 0 { "-" } else { "" }, digits(dice, length)),
        ElementKind::Decimal => {
            let digits = digits(dice, length);
            let (whole, part) = digits.split_at(1 + dice.below(length));
            format!("{}{whole}{}{part}", if dice.below(5) == 0 { "-" } else { "" }, if part.is_empty() { "" } else { "." })
        }
        ElementKind::Date => format!("20{:02}{:02}{:02}", dice.below(100), 1 + dice.below(12), 1 + dice.below(28)),
        ElementKind::Time => {
            let time = format!("{:02}{:02}{:02}{:02}", dice.below(24), dice.below(60), dice.below(60), dice.below(100));
            time[..[4, 6, 7, 8][dice.below(4)]].to_owned()
        }
    }
}

/// With these elements, chosen by chance; the rules of the segment say whether they may stand together.
fn segment(spec: &SegmentSpec, dice: &mut Dice) -> Vec<String> {
    loop {
        let mut written = vec![spec.id.clone()];
        let is_there = |required: bool, dice: &mut Dice| required || dice.below(3) > 0;
        for element in &spec.elements {
            match element {
                Element::Simple(part) => {
                    written.push(if is_there(part.required, dice) { value(&part.spec, dice) } else { String::new() })
                }
                Element::Composite { parts, required, .. } if is_there(*required, dice) => {
                    let parts = parts
                        .iter()
                        .map(|part| if is_there(part.required, dice) { value(&part.spec, dice) } else { String::new() });
                    written.push(parts.collect::<Vec<_>>().join(">").trim_end_matches('>').to_owned());
                }
                Element::Composite { .. } => written.push(String::new()),
                Element::Pairs { key, value: of, count, .. } => {
                    let pairs = dice.below(count + 1);
                    (0..pairs).for_each(|_| written.extend([value(key, dice), value(of, dice)]));
                    written.resize(written.len() + (count - pairs) * 2, String::new());
                }
            }
        }
        let is_kept = spec.rules.iter().all(|rule| {
            let there = |number: &&usize| !written[**number].is_empty();
            let (count, first) = (rule.numbers.iter().filter(there).count(), there(&&rule.numbers[0]));
            match rule.kind {
                RelationKind::Paired => count == 0 || count == rule.numbers.len(),
                RelationKind::Required => count > 0,
                RelationKind::Exclusive => count < 2,
                RelationKind::Conditional => !first || count == rule.numbers.len(),
                RelationKind::List => !first || count > 1,
            }
        });
        while written.last().is_some_and(String::is_empty) {
            written.pop();
        }
        if is_kept && written.len() > 1 {
            return written;
        }
    }
}

fn nodes(nodes: &[Node], dice: &mut Dice, made: &mut Made) {
    for node in nodes {
        if let NodeKind::Hierarchy(levels) = &node.kind {
            self::levels(levels, None, dice, made, 1);
            continue;
        }
        let least = usize::from(node.required || node.is_made);
        let count = if dice.below(4) == 0 || least > 0 { (least + dice.below(3)).min(node.max) } else { 0 };
        for _ in 0..count {
            let mut written = segment(&node.spec, dice);
            for counted in node.counts.values() {
                written[1] = if counted == "HL" { made.hl } else { made.lines }.to_string();
            }
            made.segments.push(written);
            made.lines += usize::from(node.name == "lines");
            if let NodeKind::Loop(of) = &node.kind {
                // Those within a loop are not the ones that a total counts.
                let lines = made.lines;
                self::nodes(of, dice, made);
                made.lines = lines;
            }
        }
    }
}

fn levels(levels: &[Level], above: Option<(&str, usize)>, dice: &mut Dice, made: &mut Made, depth: usize) -> usize {
    let mut count = 0;
    for level in
        levels.iter().filter(|level| above.map_or(level.under.is_empty(), |(code, _)| level.under.iter().any(|u| u == code)))
    {
        let entries = if level.max == 1 { 1 } else { dice.below(3).saturating_sub(usize::from(depth > 3)) };
        for _ in 0..if depth > 6 { 0 } else { entries } {
            made.hl += 1;
            let (number, at) = (made.hl, made.segments.len());
            let parent = above.map(|(_, number)| number.to_string()).unwrap_or_default();
            made.segments.push(vec!["HL".into(), number.to_string(), parent, level.code.clone(), "0".into()]);
            nodes(&level.nodes, dice, made);
            if self::levels(levels, Some((&level.code, number)), dice, made, depth + 1) > 0 {
                made.segments[at][4] = "1".into();
            }
            count += 1;
        }
    }
    count
}

/// A level that says nothing is not there: a tree has no word for it.
fn is_silent(segments: &[Vec<String>]) -> bool {
    let ends = |at: usize| segments.get(at + 1).is_none_or(|next| matches!(next[0].as_str(), "HL" | "CTT"));
    (0..segments.len()).any(|at| segments[at][0] == "HL" && segments[at][4] == "0" && ends(at))
}

#[test]
fn every_set_that_a_guide_allows_is_read_and_written_as_it_was() {
    let separators = Separators::default();
    let mut seen = 0;
    for set in Guide::sets() {
        let guide = Guide::find(set).unwrap().unwrap();
        for seed in 0..60 {
            let mut made = Made::default();
            nodes(&guide.nodes, &mut Dice(seed), &mut made);
            if is_silent(&made.segments) {
                continue;
            }
            let texts: Vec<String> = made.segments.iter().map(|segment| segment.join("*") + "~").collect();
            let texts = texts.concat();
            let scanned: Vec<Segment<'_>> =
                super::super::segment::Scanner::new(texts.as_bytes(), 0, 0, separators).map(|segment| segment.unwrap()).collect();
            let taken = guide.take(&scanned, &separators, RELEASE);
            let said: Vec<String> = taken.issues.iter().map(ToString::to_string).collect();
            assert_eq!(said, [""; 0], "{set} {seed} {texts}");
            let again = guide
                .make(&taken.tree.unwrap(), &separators, RELEASE)
                .unwrap_or_else(|error| panic!("{set} {seed}: {error}\n{texts}"));
            let again: String = again.iter().map(|segment| segment.0.join("*") + "~").collect();
            assert_eq!(again, texts, "{set} {seed}");
            seen += 1;
        }
    }
    assert!(seen > 300, "{seen}");
}
