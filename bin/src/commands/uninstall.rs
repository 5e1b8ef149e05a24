//! `lfk uninstall`: asks first.

use serde::Serialize;

use crate::cli;
use crate::commands::{Context, Outcome};
use crate::config::chosen;
use crate::confirm::confirm;
use crate::exit::Exit;
use crate::output;

#[derive(Debug, Serialize)]
struct Answer {
    removed: Vec<String>,
}

pub(super) async fn run(context: &Context, args: &cli::Uninstall) -> Outcome {
    let names = chosen(&context.engine, &args.chosen.names)?;
    if !args.yes {
        let count = output::plural(names.len(), "loose foreign key");
        let title = format!("This removes {count} and all that is logged for them and not yet done:");
        let lines = names.iter().map(|name| format!("  {name}"));
        confirm("uninstall", std::iter::once(title).chain(lines)).await?;
    }
    let answer = Answer { removed: context.engine.uninstall(&names).await? };
    output::answer(context.format, &answer, |answer| match answer.removed.as_slice() {
        [] => "nothing was installed".to_owned(),
        removed => removed.iter().map(|name| format!("removed {name}\n")).collect(),
    })?;
    Ok(Exit::Ok)
}
