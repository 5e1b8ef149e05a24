//! `lfk uninstall`: asks first.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use serde::Serialize;

use crate::cli;
use crate::commands::{Context, Outcome};
use crate::config::chosen;
use crate::exit::{Complaint, Exit, Failure, say};
use crate::output;

#[derive(Debug, Serialize)]
struct Answer {
    removed: Vec<String>,
}

pub(super) async fn run(context: &Context, args: &cli::Uninstall) -> Outcome {
    let names = chosen(&context.engine, &args.chosen.names)?;
    if !args.yes {
        confirm(&names).await?;
    }
    let answer = Answer { removed: context.engine.uninstall(&names).await? };
    output::answer(context.format, &answer, |answer| match answer.removed.as_slice() {
        [] => "nothing was installed".to_owned(),
        removed => removed.iter().map(|name| format!("removed {name}\n")).collect(),
    })?;
    Ok(Exit::Ok)
}

async fn confirm(names: &[String]) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        let complaint = Complaint::new("uninstall asks first, and there is no terminal to ask on")
            .hint("add --yes to remove without a question");
        return Err(Failure::new(Exit::Usage, complaint));
    }
    say(&format!(
        "This removes {} and all that is logged for them and not yet done:",
        output::plural(names.len(), "loose foreign key")
    ));
    for name in names {
        say(&format!("  {name}"));
    }
    // On a thread of its own: a signal must get through while nobody answers.
    let said = tokio::task::spawn_blocking(ask).await.map_err(|e| Failure::runtime(e.to_string()))?;
    match said {
        Ok(line) if line.trim() == "yes" => Ok(()),
        _ => Err(Failure::new(Exit::Refused, Complaint::new("not confirmed: nothing was changed"))),
    }
}

fn ask() -> io::Result<String> {
    // Not kept locked: whoever interrupts the question is told so on stderr.
    io::stderr().write_all(b"Type yes to go on: ")?;
    io::stderr().flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}
