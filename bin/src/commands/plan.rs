//! `lfk plan`, and its refusals, which other commands apply as well.

use lfk_core::{Engine, Finding, Plan, PlannedDefinition};
use serde::Serialize;

use crate::commands::{Context, Outcome};
use crate::exit::{Complaint, Exit, Failure};
use crate::output;

/// More leaves than this are counted, not listed.
const LEAVES_LISTED: usize = 8;

#[derive(Debug, Serialize)]
struct Answer {
    refused: bool,
    #[serde(flatten)]
    plan: Plan,
}

pub(super) async fn run(context: &Context) -> Outcome {
    let plan = context.engine.plan().await?;
    let answer = Answer { refused: plan.is_refused(), plan };
    output::answer(context.format, &answer, |answer| text(&answer.plan))?;
    if !answer.refused {
        return Ok(Exit::Ok);
    }
    let all = answer.plan.loose_foreign_keys.len();
    let refused = answer.plan.loose_foreign_keys.iter().filter(|d| d.findings.iter().any(|f| f.refuses)).count();
    let complaint = Complaint::new(format!("{refused} of {} refused", output::plural(all, "loose foreign key")))
        .hint("do what stands under `refused`, then plan again");
    Err(Failure::new(Exit::Refused, complaint))
}

/// Fails with everything that forbids a step on the named definitions, each with its remedy. Answers with what forbids only
/// another step.
pub(super) async fn refuse_what_plan_refuses(
    engine: &Engine,
    names: &[String],
    forbids: fn(&Finding) -> bool,
) -> Result<Vec<Complaint>, Failure> {
    let plan = engine.plan().await?;
    let named = plan.loose_foreign_keys.iter().filter(|d| names.contains(&d.name));
    let refusals = named.flat_map(|d| d.findings.iter().filter(|f| f.refuses).map(move |f| (d, f)));
    let (here, elsewhere): (Vec<_>, Vec<_>) = refusals.partition(|(_, f)| forbids(f));
    let complaints = |all: Vec<(&PlannedDefinition, &Finding)>| all.into_iter().map(|(d, f)| complaint(d, f)).collect();
    if here.is_empty() {
        Ok(complaints(elsewhere))
    } else {
        Err(Failure { exit: Exit::Refused, complaints: complaints(here) })
    }
}

fn complaint(definition: &PlannedDefinition, finding: &Finding) -> Complaint {
    let message = format!("loose foreign key \"{}\": {} ({})", definition.name, finding.message, finding.code);
    finding.remedy.iter().fold(Complaint::new(message), |complaint, line| complaint.hint(line))
}

fn text(plan: &Plan) -> String {
    let parts: Vec<String> = plan.loose_foreign_keys.iter().map(definition).collect();
    if parts.is_empty() { "no loose foreign key is configured".to_owned() } else { parts.join("\n") }
}

fn definition(d: &PlannedDefinition) -> String {
    let rows =
        |estimate: Option<i64>| estimate.map_or_else(|| "unknown".to_owned(), |n| format!("~{}", output::count(n)));
    let mut lines = vec![
        d.name.clone(),
        format!("  parent   {}, {} rows", d.parent, rows(d.parent_rows_estimate)),
        format!("  child    {}, {} rows", d.child, rows(d.child_rows_estimate)),
        format!("  effect   {}", d.effect),
    ];
    if !d.child_leaves.is_empty() {
        lines.push(format!("  leaves   {}", leaves(&d.child_leaves)));
    }
    for finding in &d.findings {
        let word = if finding.refuses { "refused" } else { "note" };
        lines.push(format!("  {word:<8} {} ({})", finding.message, finding.code));
        lines.extend(finding.remedy.iter().map(|line| format!("           {line}")));
    }
    if !d.findings.iter().any(|f| f.refuses) {
        lines.push("  verdict  may be installed and run".to_owned());
    }
    lines.push(String::new());
    lines.join("\n")
}

fn leaves(all: &[String]) -> String {
    let listed = all.iter().take(LEAVES_LISTED).cloned().collect::<Vec<_>>().join(", ");
    match all.len().checked_sub(LEAVES_LISTED) {
        Some(more @ 1..) => format!("{} tables: {listed} and {more} more", all.len()),
        _ => listed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_leaves_are_counted() {
        let names: Vec<String> = (0..10).map(|i| format!("p{i}")).collect();
        assert_eq!(leaves(&names[..2]), "p0, p1");
        assert_eq!(leaves(&names), "10 tables: p0, p1, p2, p3, p4, p5, p6, p7 and 2 more");
    }
}
