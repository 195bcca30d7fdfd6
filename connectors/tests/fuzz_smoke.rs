//! The bodies of `fuzz/`, on stable and in every build: committed seeds, and some seconds of what chance makes of them. The dice are the same
//! on every run; FUZZ_SEED throws others, FUZZ_INPUTS throws longer. What fails is written down, to become a seed once it is put right.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

#[path = "judges/dice.rs"]
#[expect(dead_code, reason = "of the dice, only the numbers are thrown here")]
mod dice;
#[path = "../../fuzz/src/lib.rs"]
mod fuzz;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dice::Dice;

/// Inputs of one target, where FUZZ_INPUTS does not say.
const INPUTS: usize = 20_000;
/// One target takes no longer than this, however slow the machine is.
const ALL_MAX: Duration = Duration::from_millis(1_500);
/// One input takes milliseconds; one that takes this long has found a loop.
const ONE_MAX: Duration = Duration::from_secs(5);
const INPUT_BYTES_MAX: usize = 16 * 1024;

/// What means something to one of the readers.
const WORDS: [&str; 64] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "\n",
    "\n\n",
    "\n===\n",
    "null",
    "true",
    "-0",
    "1e999",
    "-1e-999",
    "18446744073709551615",
    "9223372036854775808",
    "0.1",
    "79228162514264337593543950336",
    "\\u0000",
    "\\ud800",
    "\u{feff}",
    "\u{0}",
    "é",
    "😀",
    "%00",
    "../",
    "//other.example/",
    "https://other.example/",
    "<",
    ">",
    "</item>",
    "<![CDATA[",
    "&#x0;",
    "&amp;",
    "<!DOCTYPE",
    ";",
    "rel=\"next\"",
    "Link: ",
    "X-Sig: ",
    "t=1790000000,v1=",
    "Retry-After: ",
    "{{ ",
    " }}",
    "{{ settings.x }}",
    "{% if ",
    "| int",
    "~",
    "range(1000000)",
    "config['",
    "- ",
    "  ",
    "*",
    "&a ",
    "*a",
    "!!",
    "<<: ",
    "$ref: ",
    "#/streams",
    "$parameters: ",
    "items",
    "?",
    "lookup(",
    "$index",
];

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target)
}

/// In the order of their names.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder(target)).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let name = |file: &PathBuf| file.file_name().unwrap().to_string_lossy().into_owned();
    files.iter().map(|file| (name(file), std::fs::read(file).unwrap())).collect()
}

fn mutated(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = seeds[dice.below(seeds.len())].clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(input.len() + 1);
        let end = (at + 1 + dice.below(24)).min(input.len());
        match dice.below(8) {
            0 if at < input.len() => input[at] ^= 1 << dice.below(8),
            1 => drop(input.drain(at..end)),
            2 => {
                let part = input[at..end].to_vec();
                let most = if dice.below(8) == 0 { 4_000 } else { 64 };
                let times = 1 + dice.below(most);
                input.splice(at..at, part.repeat(times));
            }
            3 | 4 => drop(input.splice(at..at, WORDS[dice.below(WORDS.len())].bytes())),
            5 => drop(input.splice(at..end, WORDS[dice.below(WORDS.len())].bytes())),
            6 => {
                let other = &seeds[dice.below(seeds.len())];
                let from = dice.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => input.truncate(at.max(input.len() / 2)),
        }
        input.truncate(INPUT_BYTES_MAX);
    }
    input
}

fn from_environment(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

/// On the stack that a worker's thread has, where the code is built as it is shipped; without optimisation every call takes several times
/// as much.
fn smoke(target: &'static str) {
    const STACK_BYTES: usize = if cfg!(debug_assertions) { 8 * 1024 * 1024 } else { 2 * 1024 * 1024 };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || try_all(target)).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn try_all(target: &str) {
    let (_, body) = fuzz::TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{target}"));
    let try_one = |input: &[u8]| {
        // Before it is tried: an abort leaves nobody to write it.
        std::fs::write(&file, input).unwrap();
        let began = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| body(input)));
        let what = if outcome.is_err() { "panicked" } else { "took too long" };
        assert!(
            outcome.is_ok() && began.elapsed() < ONE_MAX,
            "{target} {what}; the input is in {}: {}",
            file.display(),
            input.escape_ascii()
        );
        outcome.is_ok_and(|is_understood| is_understood)
    };
    let mut seeds = Vec::new();
    for (name, seed) in self::seeds(target) {
        // A seed that nobody understands any more leads nowhere.
        assert_eq!(try_one(&seed), !name.starts_with("refused"), "{target}/{name} is understood, unless its name says otherwise");
        seeds.push(seed);
    }
    let (count, patience) = match from_environment("FUZZ_INPUTS") {
        Some(count) => (count, Duration::MAX),
        None => (INPUTS, ALL_MAX),
    };
    let mut dice = Dice::new(from_environment("FUZZ_SEED").unwrap_or(1) as u64);
    let began = Instant::now();
    for _ in 0..count {
        if began.elapsed() > patience {
            break;
        }
        try_one(&mutated(&mut dice, &seeds));
    }
}

/// Each target with the test that throws at it.
macro_rules! smoke_tests {
    ($($test:ident: $target:literal,)+) => {
        const SMOKED: &[&str] = &[$($target),+];
        $(
            #[test]
            fn $test() {
                smoke($target);
            }
        )+
    };
}

smoke_tests! {
    any_manifest_loads_or_is_refused_for_a_reason: "manifest",
    any_answer_is_records_or_a_fault: "answer",
    no_answer_leads_a_read_to_another_host_or_on_for_ever: "pages",
    no_delivery_is_believed_that_nobody_signed: "hook",
    any_rules_map_any_document_to_a_record_or_issues: "mapping",
    any_expression_has_a_value_or_an_error: "expression",
    any_manifest_of_a_guest_is_read_or_named: "airbyte",
    any_expression_of_a_guest_is_computed_or_named: "jinja",
    any_interchange_is_taken_or_refused_and_acknowledged: "x12",
    what_a_directory_sends_is_read_or_refused: "scim",
    any_file_is_records_with_their_lines_or_a_flaw: "file",
    any_sheet_is_entries_or_bad_rows_and_is_written_as_it_was_read: "lookup_sheet",
    any_flow_as_code_is_read_as_it_is_exported_or_refused: "flow_file",
    any_description_of_an_api_becomes_a_draft_that_loads_or_is_refused: "openapi",
    any_answer_of_a_token_server_is_a_token_that_can_be_kept_or_a_fault: "token",
    any_headers_tell_limits_waits_and_ends_that_can_be_kept: "headers",
    any_export_proves_something_or_names_what_is_wrong: "audit_export",
    any_certificate_or_key_is_read_or_refused: "certificate",
    any_id_is_of_one_kind_and_spelling: "id",
    any_plan_is_good_or_named_wrong_and_its_bill_adds_up: "plan",
    what_people_type_is_read_or_refused: "typed",
    any_answer_to_a_write_is_a_receipt_that_can_be_kept_or_a_fault: "written",
    any_answer_about_an_account_touches_nothing_of_somebody_elses: "account",
    any_document_is_written_as_it_was_read: "value",
    what_is_kept_of_any_call_holds_no_secret: "kept",
}

#[test]
fn every_target_has_seeds_and_stands_in_the_fuzzers_list() {
    let list = std::fs::read_to_string(folder("").join("../Cargo.toml")).unwrap();
    for (target, _) in fuzz::TARGETS {
        assert!(!seeds(target).is_empty() && list.contains(&format!("name = \"{target}\"")), "{target}");
        assert!(SMOKED.contains(&target) && folder("").join(format!("../fuzz_targets/{target}.rs")).is_file(), "{target}");
    }
}
