//! `lfk status`.

use lfk_core::{DefinitionStatus, SignalStatus, Status};
use serde::Serialize;

use crate::cli;
use crate::commands::{Context, Outcome};
use crate::exit::{Complaint, Exit, Failure};
use crate::output;

#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    status: Status,
    signals: Vec<SignalStatus>,
}

pub(super) async fn run(context: &Context, args: &cli::Status) -> Outcome {
    let (status, signals) = tokio::join!(context.engine.status(), context.engine.signals());
    let answer = Answer { status: status?, signals };
    output::answer(context.format, &answer, |answer| {
        let lines = answer.signals.iter().filter_map(signal_line);
        std::iter::once(text(&answer.status)).chain(lines).collect()
    })?;
    let status = answer.status;
    if status.unreachable.is_empty() {
        let alerting = all(&status).any(|d| !d.alerts.is_empty());
        return Ok(if args.exit_code && alerting { Exit::Findings } else { Exit::Ok });
    }
    let complaints = status.unreachable.iter().map(|said| Complaint::new(format!("cannot be asked: {said}"))).collect();
    Err(Failure { exit: Exit::Runtime, complaints })
}

/// What keeps writers waiting, and what cannot be seen.
fn signal_line(signal: &SignalStatus) -> Option<String> {
    let note = signal.note.as_deref()?;
    Some(format!("\n{} of {}: {}: {note}\n", signal.signal, signal.database, signal.condition))
}

fn text(status: &Status) -> String {
    let headers =
        ["NAME", "STATE", ">PENDING", ">OLDEST", ">KEYS/S", ">ROWS", ">RETRIES", ">QUARANTINED", "ALERT", "NOTE"];
    let mut text = output::table(&headers, all(status).map(row).collect());
    text.push_str(&checks(&status.mirrors));
    if status.workers.is_empty() {
        text.push_str("\nno worker reads the key logs\n");
    } else {
        let headers = ["WORKER", "DATABASE", "HOST", ">PID", "VERSION", ">SEEN", ">LEASES"];
        let rows = status.workers.iter().map(|w| {
            let seen = format!("{} ago", output::age(w.seen_seconds_ago));
            let short = w.id.split('-').next().unwrap_or_default().to_owned();
            vec![
                short,
                w.database.clone(),
                w.host.clone(),
                w.pid.to_string(),
                w.version.clone(),
                seen,
                output::count(w.consumers),
            ]
        });
        text.push('\n');
        text.push_str(&output::table(&headers, rows.collect()));
    }
    text
}

/// How far the equality of mirrors is proven; nothing where no rolling check has ever been.
fn checks(mirrors: &[DefinitionStatus]) -> String {
    let checked = |m: &&DefinitionStatus| {
        m.oldest_unverified_seconds.is_some() || m.confirmed_differences.is_some_and(|keys| keys > 0)
    };
    let rows: Vec<Vec<String>> = mirrors
        .iter()
        .filter(checked)
        .map(|m| {
            let age = |seconds: Option<f64>| seconds.map_or_else(|| "-".to_owned(), output::age);
            let pass = m.last_pass_seconds_ago.map_or_else(|| "-".to_owned(), |s| format!("{} ago", output::age(s)));
            let differ = output::count(m.confirmed_differences.unwrap_or(0));
            vec![m.name.clone(), age(m.oldest_unverified_seconds), pass, differ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("\n{}", output::table(&["MIRROR", ">OLDEST LOOK", ">LAST PASS", ">DIFFER"], rows))
}

/// Loose foreign keys, then mirrors.
pub(super) fn all(status: &Status) -> impl Iterator<Item = &DefinitionStatus> {
    status.loose_foreign_keys.iter().chain(&status.mirrors)
}

fn row(d: &DefinitionStatus) -> Vec<String> {
    vec![
        d.name.clone(),
        d.state.map_or_else(|| "-".to_owned(), |state| state.to_string()),
        pending(d.pending_keys, d.pending_is_lower_bound),
        d.oldest_pending_seconds.map_or_else(|| "-".to_owned(), output::age),
        format!("{:.1}", d.keys_per_second),
        output::count(d.rows_affected_total),
        output::count(d.retries),
        output::count(d.quarantined),
        if d.alerts.is_empty() { "-".to_owned() } else { d.alerts.join(", ") },
        note(&d.condition, d.note.as_deref()),
    ]
}

/// A lower bound says that it is one.
pub(super) fn pending(keys: i64, is_lower_bound: bool) -> String {
    if is_lower_bound { format!(">= {}", output::count(keys)) } else { output::count(keys) }
}

pub(super) fn note(condition: &str, note: Option<&str>) -> String {
    match (condition, note) {
        ("ok" | "", note) => note.unwrap_or_default().to_owned(),
        (condition, None) => condition.to_owned(),
        (condition, Some(note)) => format!("{condition}: {note}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_begins_with_the_condition_unless_all_is_well() {
        assert_eq!(note("ok", None), "");
        assert_eq!(note("stopped", None), "stopped");
        assert_eq!(note("blocked", Some("permission denied")), "blocked: permission denied");
        assert_eq!(pending(1_000_000, true), ">= 1,000,000");
    }
}
