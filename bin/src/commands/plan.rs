//! `lfk plan`, and its refusals, which other commands apply as well.

use lfk_core::{Engine, Finding, Plan, PlannedDefinition, PlannedMirror};
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
    let all = answer.plan.findings().count();
    let refused = answer.plan.findings().filter(|(_, findings)| findings.iter().any(|f| f.refuses)).count();
    let complaint = Complaint::new(format!("{refused} of {} refused", output::plural(all, "definition")))
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
    let named = plan.findings().filter(|(name, _)| names.iter().any(|n| n == name));
    let refusals = named.flat_map(|(name, all)| all.iter().filter(|f| f.refuses).map(move |f| (name, f)));
    let (here, elsewhere): (Vec<_>, Vec<_>) = refusals.partition(|(_, f)| forbids(f));
    let complaints = |all: Vec<(&str, &Finding)>| all.into_iter().map(|(name, f)| complaint(name, f)).collect();
    if here.is_empty() {
        Ok(complaints(elsewhere))
    } else {
        Err(Failure { exit: Exit::Refused, complaints: complaints(here) })
    }
}

fn complaint(name: &str, finding: &Finding) -> Complaint {
    let message = format!("\"{name}\": {} ({})", finding.message, finding.code);
    finding.remedy.iter().fold(Complaint::new(message), |complaint, line| complaint.hint(line))
}

fn text(plan: &Plan) -> String {
    let parts: Vec<String> =
        plan.loose_foreign_keys.iter().map(definition).chain(plan.mirrors.iter().map(mirror)).collect();
    if parts.is_empty() { "nothing is configured".to_owned() } else { parts.join("\n") }
}

fn rows(estimate: Option<i64>) -> String {
    estimate.map_or_else(|| "unknown".to_owned(), |n| format!("~{}", output::count(n)))
}

fn mirror(m: &PlannedMirror) -> String {
    let mut lines = vec![
        m.name.clone(),
        format!("  source   {}, {} rows", m.source, rows(m.source_rows_estimate)),
        format!("  target   {}, {} rows", m.target, rows(m.target_rows_estimate)),
        format!("  effect   {}", m.effect),
    ];
    conclude(&mut lines, &m.findings);
    lines.join("\n")
}

fn definition(d: &PlannedDefinition) -> String {
    let mut lines = vec![
        d.name.clone(),
        format!("  parent   {}, {} rows", d.parent, rows(d.parent_rows_estimate)),
        format!("  child    {}, {} rows", d.child, rows(d.child_rows_estimate)),
        format!("  effect   {}", d.effect),
    ];
    if !d.child_leaves.is_empty() {
        lines.push(format!("  leaves   {}", leaves(&d.child_leaves)));
    }
    conclude(&mut lines, &d.findings);
    lines.join("\n")
}

/// What was noticed, and the verdict.
fn conclude(lines: &mut Vec<String>, findings: &[Finding]) {
    for finding in findings {
        let word = if finding.refuses { "refused" } else { "note" };
        lines.push(format!("  {word:<8} {} ({})", finding.message, finding.code));
        lines.extend(finding.remedy.iter().map(|line| format!("           {line}")));
    }
    if !findings.iter().any(|f| f.refuses) {
        lines.push("  verdict  may be installed and run".to_owned());
    }
    lines.push(String::new());
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
