//! What is different now from what was. Some of it one document proves: a field, a type or a word that was never there before. The rest is
//! said only where chance does not explain it; the rules are stated at each.

use std::collections::HashMap;

use super::personal::is_tax_code;
use super::profile::{Field, PATHS_MAX, Path, Profile, Type};

/// Drifts of one comparison; what is beyond comes with the next, once these are dealt with.
const DRIFTS_MAX: usize = 50;
/// A group with more rare keys than this, each in less than one of ten, has data for keys: none of them is new, and none vanishes.
const RARE_KEYS_MAX: usize = 64;
/// Documents with a value before its words are taken for a list of words.
const WORDS_DOCUMENTS_MIN: u64 = 20;
/// How likely the next value may be a word that was never seen, for them to be a list: as many as came only once (Good and Turing).
const UNSEEN_MAX: f64 = 0.05;
/// What chance does less often than this, once in a million, is no chance.
const CHANCE_MAX: f64 = 1e-6;
/// The quantile of the lower bound on how often a field is there: one in a hundred is really lower.
const Z: f64 = 2.576;
/// Documents that say something of a rate.
const RATE_DOCUMENTS_MIN: u64 = 20;
/// How far the share of nulls must rise to matter, and by how many standard errors to be real.
const NULLS_RISE_MIN: f64 = 0.25;
const NULLS_ERRORS_MIN: f64 = 5.0;

/// How a field differs. The words are stored, so a variant is never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// It was never there, or never had a value.
    NewField,
    /// It is not there any more.
    Vanished,
    /// It is of another type.
    Retyped,
    /// A word that is not one of those it always had.
    NewValue,
    /// The same, where it says which tax it is.
    NewTaxCode,
    /// It is null much more often.
    MoreNulls,
    /// Its text is longer than any before.
    Longer,
}

impl What {
    pub const ALL: [What; 7] =
        [Self::NewField, Self::Vanished, Self::Retyped, Self::NewValue, Self::NewTaxCode, Self::MoreNulls, Self::Longer];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewField => "new_field",
            Self::Vanished => "vanished",
            Self::Retyped => "retyped",
            Self::NewValue => "new_value",
            Self::NewTaxCode => "new_tax_code",
            Self::MoreNulls => "more_nulls",
            Self::Longer => "longer",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.as_str() == text)
    }
}

/// One difference, and how it was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    pub path: Path,
    pub what: What,
    /// The new type or the new word; `None` where it is no word that is kept.
    pub value: Option<String>,
    /// For people: "int", "paid, pending", "in 98 of 98 documents".
    pub before: String,
    pub after: String,
    /// What is new, as a profile: merged into what is known, it is known.
    pub news: Profile,
}

/// All differences of `now` from `before`, what stands highest first; at most 50.
#[must_use]
pub fn compare(before: &Profile, now: &Profile) -> Vec<Drift> {
    let mut drifts = news(before, now);
    drifts.extend(vanished(before, now));
    for (path, field, known) in both(before, now) {
        drifts.extend(more_nulls(path, known, field));
        drifts.extend(longer(path, known, field));
    }
    drifts.sort_by(|a, b| (&a.path, a.what, &a.value).cmp(&(&b.path, b.what, &b.value)));
    drifts.truncate(DRIFTS_MAX);
    drifts
}

/// What one document proves: fields, types and words that are not known.
pub(super) fn news(known: &Profile, now: &Profile) -> Vec<Drift> {
    let keys = rare_keys(known);
    let mut drifts: Vec<Drift> = Vec::new();
    for (path, field) in &now.fields {
        if drifts.len() >= PATHS_MAX {
            break;
        }
        let Some(before) = known.get(path) else {
            // Only the highest of what is new, and nothing of a group whose keys are data.
            let parent = path.parent();
            let is_inside = parent.as_ref().is_some_and(|parent| known.get(parent).is_none_or(|parent| parent.filled == 0));
            if !is_inside && known.is_certain(path) && keys.get(&parent).is_none_or(|count| *count <= RARE_KEYS_MAX) {
                let types: Vec<&str> = field.types().map(Type::as_str).collect();
                let after = if types.is_empty() { "null".to_owned() } else { types.join(", ") };
                drifts.push(drift(path, What::NewField, None, "not there".into(), after, now.part(path)));
            }
            continue;
        };
        drifts.extend(retyped(path, before, field, now));
        drifts.extend(new_words(path, before, field));
    }
    drifts
}

fn drift(path: &Path, what: What, value: Option<String>, before: String, after: String, news: Profile) -> Drift {
    Drift { path: path.clone(), what, value, before, after, news }
}

fn one(path: &Path, field: Field) -> Profile {
    Profile { documents: 0, fields: [(path.clone(), field)].into() }
}

fn both<'p>(before: &'p Profile, now: &'p Profile) -> impl Iterator<Item = (&'p Path, &'p Field, &'p Field)> {
    now.fields.iter().filter_map(|(path, field)| Some((path, field, before.get(path)?)))
}

/// How many rare keys each group has.
fn rare_keys(profile: &Profile) -> HashMap<Option<Path>, usize> {
    let mut keys = HashMap::new();
    for (path, field) in &profile.fields {
        let parent = path.parent();
        let around = parent.as_ref().map_or(profile.documents, |parent| profile.get(parent).map_or(0, |group| group.filled));
        if field.documents.saturating_mul(10) < around {
            *keys.entry(parent).or_default() += 1;
        }
    }
    keys
}

fn retyped(path: &Path, before: &Field, field: &Field, now: &Profile) -> Vec<Drift> {
    let had: Vec<Type> = before.types().collect();
    let is_news = |of: &Type| match of {
        of if had.contains(of) => false,
        // Ten may be written as 10 where 10.5 has a point.
        Type::Int => !had.contains(&Type::Decimal),
        _ => true,
    };
    let types = field.types().filter(is_news);
    let news = types.map(|of| {
        let mut types = [0; 7];
        types[of as usize] = field.count(of);
        let with = Field { documents: field.documents, filled: field.filled, types, ..field.clone() };
        let mut news = if matches!(of, Type::List | Type::Map) { now.part(path) } else { Profile::default() };
        news.fields.insert(path.clone(), with);
        if had.is_empty() {
            return drift(path, What::NewField, None, "always null".into(), of.as_str().into(), news);
        }
        let before = had.iter().map(|of| of.as_str()).collect::<Vec<_>>().join(", ");
        drift(path, What::Retyped, Some(of.as_str().into()), before, of.as_str().into(), news)
    });
    news.collect()
}

/// The words of a field that has always had one of few.
fn new_words(path: &Path, before: &Field, field: &Field) -> Vec<Drift> {
    let Some(known) = words(before) else { return vec![] };
    let what = if is_tax_code(path.as_str()) { What::NewTaxCode } else { What::NewValue };
    let said = known.keys().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
    let news = |values| one(path, Field { documents: 0, filled: 0, types: [0; 7], values, chars_max: field.chars_max });
    let Some(values) = &field.values else {
        let after = "texts that are no words of a list".to_owned();
        return vec![drift(path, what, None, said, after, news(None))];
    };
    let unknown = values.iter().filter(|(word, _)| !known.contains_key(*word));
    let news = unknown.map(|(word, count)| {
        // What a person accepts is no chance, however often it came.
        let news = news(Some([(word.clone(), (*count).max(2))].into()));
        drift(path, what, Some(word.clone()), said.clone(), format!("\"{word}\""), news)
    });
    news.collect()
}

/// The words that a field has, where they are a list: it was filled in twenty documents at least, and one that was never seen is to be
/// expected less than once in twenty times.
pub(super) fn words(field: &Field) -> Option<&std::collections::BTreeMap<String, u64>> {
    let words = field.values.as_ref().filter(|words| !words.is_empty())?;
    let (seen, singles) =
        words.values().fold((0_u64, 0_u64), |(seen, singles), count| (seen + count, singles + u64::from(*count == 1)));
    let is_list = field.filled >= WORDS_DOCUMENTS_MIN && ratio(singles, seen) < UNSEEN_MAX;
    is_list.then_some(words)
}

/// A field that was there in most documents and is in none now, where so many came that chance does not explain it: with `p` the lower bound
/// (Wilson, 99.5 %) on how often it was there, `(1 - p)^n` is below one in a million. Rows of a list do not vanish; a list may be empty.
fn vanished(before: &Profile, now: &Profile) -> Vec<Drift> {
    let keys = rare_keys(before);
    let mut gone: Vec<Drift> = Vec::new();
    for (path, field) in &before.fields {
        let parent = path.parent();
        if now.get(path).is_some() || !now.is_certain(path) || path.as_str().ends_with("[]") {
            continue;
        }
        if gone.iter().any(|above| path.is_within(above.path.as_str()))
            || keys.get(&parent).is_some_and(|count| *count > RARE_KEYS_MAX)
        {
            continue;
        }
        // Of the documents that could have it: those with the group that it lies in.
        let around = |profile: &Profile| match &parent {
            None => profile.documents,
            Some(parent) => profile.get(parent).filter(|group| group.count(Type::Map) > 0).map_or(0, |group| group.filled),
        };
        let (had, could, come) = (field.documents, around(before), around(now));
        let missing = 1.0 - lower_bound(had.min(could), could);
        if come > 0 && missing.powf(number(come)) < CHANCE_MAX {
            let after = format!("in none of {come} documents");
            gone.push(drift(path, What::Vanished, None, format!("in {had} of {could} documents"), after, Profile::default()));
        }
    }
    gone
}

/// Null in a quarter more of the documents than before, with twenty on either side and five standard errors between the two.
fn more_nulls(path: &Path, before: &Field, now: &Field) -> Option<Drift> {
    if before.documents < RATE_DOCUMENTS_MIN || now.documents < RATE_DOCUMENTS_MIN {
        return None;
    }
    let nulls = |field: &Field| field.documents.saturating_sub(field.filled);
    let (was, is) = (ratio(nulls(before), before.documents), ratio(nulls(now), now.documents));
    let pooled = ratio(nulls(before) + nulls(now), before.documents + now.documents);
    let error = (pooled * (1.0 - pooled) * (1.0 / number(before.documents) + 1.0 / number(now.documents))).sqrt();
    if is - was < NULLS_RISE_MIN || is - was < NULLS_ERRORS_MIN * error {
        return None;
    }
    let said = |field: &Field| format!("null in {} of {} documents", nulls(field), field.documents);
    let news = one(path, Field { values: Some([].into()), chars_max: 0, ..now.clone() });
    Some(drift(path, What::MoreNulls, None, said(before), said(now), news))
}

/// A text that is half as long again as the longest before, and by twenty characters at least.
fn longer(path: &Path, before: &Field, now: &Field) -> Option<Drift> {
    let is_longer = before.filled >= RATE_DOCUMENTS_MIN && now.chars_max > before.chars_max + (before.chars_max / 2).max(20);
    let news = one(path, Field { chars_max: now.chars_max, ..Field::default() });
    let said = |chars: u64| format!("{chars} characters at most");
    is_longer.then(|| drift(path, What::Longer, None, said(before.chars_max), format!("{} characters", now.chars_max), news))
}

/// How often it is at least, where it was in `had` of `could` (Wilson's score interval).
fn lower_bound(had: u64, could: u64) -> f64 {
    if could == 0 {
        return 0.0;
    }
    let (share, count) = (ratio(had, could), number(could));
    let middle = share + Z * Z / (2.0 * count);
    let spread = Z * (share * (1.0 - share) / count + Z * Z / (4.0 * count * count)).sqrt();
    ((middle - spread) / (1.0 + Z * Z / count)).max(0.0)
}

fn ratio(part: u64, whole: u64) -> f64 {
    number(part) / number(whole.max(1))
}

/// Counts of documents are far below what a float holds exactly.
fn number(count: u64) -> f64 {
    count as f64
}
