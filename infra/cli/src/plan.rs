//! `crossdock plan`: what tenants pay, as files. A file is checked, and a tenant is put on the plan that it says, from a day on; the tenant keeps the plan as
//! it was then, whatever becomes of the file.

use std::path::{Path, PathBuf};

use chrono::{NaiveDate, Utc};
use clap::Subcommand;
use domain::invoice::check_day;
use domain::plan::Plan;

use super::{Failure, database, say};

#[derive(Subcommand)]
pub enum PlanCommand {
    /// Says what is wrong with plans, each with its place.
    Check {
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Puts a tenant on a plan from a day on, until the next one that is agreed begins. A month that was billed stays as it is.
    Agree {
        /// The tenant's slug.
        #[arg(long)]
        tenant: String,
        /// The first day, of UTC: 2026-12-01.
        #[arg(long)]
        from: NaiveDate,
        file: PathBuf,
    },
}

pub async fn run(command: PlanCommand) -> Result<(), Failure> {
    match command {
        PlanCommand::Check { files } => {
            let wrong: Vec<String> = files.iter().filter_map(|file| read(file).err()).collect();
            if wrong.is_empty() { say("ok") } else { Err(wrong.join("\n").into()) }
        }
        PlanCommand::Agree { tenant, from, file } => {
            let plan = read(&file)?;
            check_day(&plan, from, Utc::now().date_naive())?;
            let store = database().await?;
            let agreed = store.plan_agree(&tenant, from, &plan).await??;
            say(&format!("{agreed} is on the plan {} from {from} on", plan.id))
        }
    }
}

/// A plan out of its file.
///
/// # Errors
/// All that is wrong with it, a line each.
fn read(file: &Path) -> Result<Plan, String> {
    let name = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| format!("{name}: it cannot be read: {error}"))?;
    let plan: Plan = connectors::yaml(&text).map_err(|error| format!("{name}:{error}"))?;
    let problems: Vec<String> = plan.problems().into_iter().map(|problem| format!("{name}: {problem}")).collect();
    if problems.is_empty() { Ok(plan) } else { Err(problems.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, text: &str) -> PathBuf {
        let file = std::env::temp_dir().join(format!("crossdock-plan-{}-{name}.yaml", std::process::id()));
        std::fs::write(&file, text).unwrap();
        file
    }

    fn plans() -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plans");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|file| file.extension().is_some_and(|ending| ending == "yaml")).collect()
    }

    #[test]
    fn the_plans_that_come_with_crossdock_are_good_and_bear_their_names() {
        let plans = plans();
        assert!(plans.len() >= 2);
        for file in plans {
            let plan = read(&file).unwrap_or_else(|wrong| panic!("{wrong}"));
            assert_eq!(file.file_stem().unwrap().to_str(), Some(plan.id.as_str()));
        }
    }

    #[test]
    fn the_schema_for_editors_names_what_a_plan_has_and_nothing_else() {
        let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plans/schema.json");
        let schema: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
        let growth = plans().into_iter().find(|file| file.ends_with("growth.yaml")).unwrap();
        let plan = serde_json::to_value(read(&growth).unwrap()).unwrap();
        let names = |value: &serde_json::Value| {
            let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
            names.sort();
            names
        };
        let terms = &schema["$defs"]["terms"]["properties"];
        for (of_schema, of_plan) in [
            (&schema["properties"], &plan),
            (&schema["properties"]["meters"]["properties"], &plan["meters"]),
            (terms, &plan["meters"]["delivery_confirmed"]),
            (&terms["beyond"]["items"]["properties"], &plan["meters"]["delivery_confirmed"]["beyond"][0]),
        ] {
            assert_eq!(names(of_schema), names(of_plan));
        }
    }

    #[test]
    fn what_is_wrong_in_a_file_is_said_with_its_line() {
        let good = std::fs::read_to_string(plans().into_iter().find(|file| file.ends_with("start.yaml")).unwrap()).unwrap();
        for (name, from, to, wanted) in [
            ("key", "base_fee:", "base_fees:", "there is no `base_fees` here; did you mean `base_fee`?"),
            ("amount", "\"49.00\"", "forty", "\"forty\" is no amount; write its digits"),
            ("meter", "vendor_call:", "vendor_cal:", "did you mean `vendor_call`?"),
            ("step", "[{ price: \"0.0100\" }]", "[]", "meters.delivery_confirmed.beyond: say what those beyond cost"),
            ("currency", "EUR", "EURO", "currency: \"EURO\" is no currency of ISO 4217"),
        ] {
            assert!(good.contains(from), "{from}");
            let file = written(name, &good.replacen(from, to, 1));
            let wrong = read(&file).unwrap_err();
            std::fs::remove_file(&file).unwrap();
            assert!(wrong.contains(wanted), "{wanted}: {wrong}");
        }
    }
}
