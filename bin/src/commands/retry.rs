//! `lfk retry list`, `lfk retry now` and `lfk retry drop`: keys set aside.
//!
//! Keys appear in the answer of `list`, which a person asked for, and nowhere else.

use lfk_core::{Engine, SetAsideChange, SetAsideFilter, SetAsideKey, SetAsideList};

use crate::cli::{Retry, RetryDrop, RetryList, WhichKeys};
use crate::commands::{ByKind, Context, Outcome};
use crate::config::chosen;
use crate::confirm::confirm;
use crate::exit::{Complaint, Exit, Failure};
use crate::output;

pub(super) async fn run(context: &Context, command: Retry) -> Outcome {
    match command {
        Retry::List(args) => list(context, &args).await,
        Retry::Now(args) => {
            let filter = filter(&context.engine, &args.chosen.names, &args.which)?;
            let changes = context.engine.retry_now(&filter).await?;
            let answer = context.by_kind(changes, |one| &one.name);
            output::answer(context.format, &answer, |answer| changed(answer, "made due"))?;
            Ok(Exit::Ok)
        }
        Retry::Drop(args) => drop(context, &args).await,
    }
}

async fn list(context: &Context, args: &RetryList) -> Outcome {
    let filter = filter(&context.engine, &args.names, &args.which)?;
    let answer = context.engine.retries(&filter, args.limit).await?;
    output::answer(context.format, &answer, listed)?;
    Ok(Exit::Ok)
}

async fn drop(context: &Context, args: &RetryDrop) -> Outcome {
    let filter = filter(&context.engine, &args.chosen.names, &args.which)?;
    if !args.yes {
        let which = match (filter.keys.len(), filter.quarantined) {
            (0, false) => "every key set aside for".to_owned(),
            (0, true) => "every key in quarantine for".to_owned(),
            (n, _) => format!("{} set aside for", output::plural(n, "key")),
        };
        let title = format!("This forgets {which} these loose foreign keys. The children stay, as orphans:");
        let lines = filter.names.iter().map(|name| format!("  {name}"));
        confirm("retry drop", std::iter::once(title).chain(lines)).await?;
    }
    let changes = context.engine.drop_retries(&filter).await?;
    let answer = context.by_kind(changes, |one| &one.name);
    output::answer(context.format, &answer, |answer| changed(answer, "dropped"))?;
    Ok(Exit::Ok)
}

/// What the arguments mean. A key of several columns is a JSON array of texts, as `list` prints it.
fn filter(engine: &Engine, names: &[String], which: &WhichKeys) -> Result<SetAsideFilter, Failure> {
    let names = chosen(engine, names)?;
    let widths = engine.definitions().iter().filter(|d| names.contains(&d.name)).map(|d| d.parent.columns.len());
    let composite = widths.max().is_some_and(|most| most > 1);
    let keys = which.keys.iter().map(|text| parse_key(text, composite)).collect::<Result<_, _>>()?;
    Ok(SetAsideFilter { names, quarantined: which.quarantined, keys })
}

fn parse_key(text: &str, composite: bool) -> Result<Vec<String>, Failure> {
    if !composite {
        return Ok(vec![text.to_owned()]);
    }
    serde_json::from_str(text).map_err(|_| {
        let complaint = Complaint::new("a key of several columns is a JSON array of texts")
            .hint("for example --key '[\"7\", \"eu\"]'; `lfk retry list` shows keys so");
        Failure::new(Exit::Usage, complaint)
    })
}

fn listed(answer: &SetAsideList) -> String {
    if answer.set_aside.is_empty() {
        return "nothing is set aside".to_owned();
    }
    let headers = ["NAME", "KEY", "REASON", ">ATTEMPTS", "NOT BEFORE", "QUARANTINED SINCE", "ERROR"];
    let mut text = output::table(&headers, answer.set_aside.iter().map(row).collect());
    if answer.more {
        text.push_str("there are more: --limit\n");
    }
    text
}

fn row(one: &SetAsideKey) -> Vec<String> {
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    vec![
        one.name.clone(),
        shown(&one.key),
        one.reason.clone(),
        output::count(one.attempts),
        if one.quarantined_at.is_some() { "-".to_owned() } else { dash(&one.not_before) },
        dash(&one.quarantined_at),
        dash(&one.error),
    ]
}

/// As `--key` takes it.
fn shown(key: &[String]) -> String {
    match key {
        [one] => one.clone(),
        several => serde_json::to_string(several).unwrap_or_default(),
    }
}

fn changed(answer: &ByKind<SetAsideChange>, done: &str) -> String {
    let line = |c: &SetAsideChange| {
        let keys = if c.keys == 1 { "1 key".to_owned() } else { format!("{} keys", output::count(c.keys)) };
        let kept = match c.left_alone {
            0 => String::new(),
            n => format!("; {} of a sweep keep their wait", output::count(n)),
        };
        format!("{}: {keys} {done}{kept}\n", c.name)
    };
    answer.all().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_as_it_is_shown() {
        for key in [vec!["[1]".to_owned()], vec!["7".to_owned(), "a \"b\", c".to_owned()]] {
            let read = parse_key(&shown(&key), key.len() > 1).unwrap_or_default();
            assert_eq!(read, key);
        }
        assert!(parse_key("7,eu", true).is_err());
    }
}
