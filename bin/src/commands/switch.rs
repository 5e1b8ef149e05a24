//! `lfk stop --all` and `lfk start --all`: the kill switch.

use serde::Serialize;

use crate::commands::{Context, Outcome};
use crate::exit::Exit;
use crate::output;

#[derive(Debug, Serialize)]
struct Answer {
    stopped: bool,
    databases: Vec<String>,
}

pub(super) async fn run(context: &Context, stopped: bool) -> Outcome {
    let answer = Answer { stopped, databases: context.engine.set_stopped(stopped).await? };
    output::answer(context.format, &answer, |answer| {
        let word = if answer.stopped { "stopped" } else { "started" };
        match answer.databases.as_slice() {
            [] => "lfk is installed in none of the databases".to_owned(),
            databases => databases.iter().map(|name| format!("{word} in {name}\n")).collect(),
        }
    })?;
    Ok(Exit::Ok)
}
