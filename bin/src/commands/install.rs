//! `lfk install`.

use lfk_core::{Finding, Installed, State};

use crate::commands::plan::refuse_what_plan_refuses;
use crate::commands::{ByKind, Context, Outcome};
use crate::config::chosen;
use crate::exit::{Exit, say};
use crate::output;

pub(super) async fn run(context: &Context) -> Outcome {
    let names = chosen(&context.engine, &[])?;
    // The engine refuses the same by itself; asked here, every finding is told with its remedy.
    let later = refuse_what_plan_refuses(&context.engine, &names, Finding::forbids_install).await?;
    let installed = context.engine.install().await?;
    let answer = context.by_kind(installed, |one| &one.name);
    output::answer(context.format, &answer, text)?;
    for complaint in later {
        say(&format!("note: this role could install, and could not work: {}", complaint.message));
    }
    Ok(Exit::Ok)
}

fn text(answer: &ByKind<Installed>) -> String {
    let rows = answer
        .all()
        .map(|i| vec![i.name.clone(), i.outcome.to_owned(), i.state.to_string(), i.triggers_created.to_string()]);
    let mut text = output::table(&["NAME", "OUTCOME", "STATE", ">NEW TRIGGERS"], rows.collect());
    if answer.all().any(|i| i.state == State::Observe) {
        text.push_str("\nwhat observes changes nothing until: lfk activate NAME\n");
    }
    text
}
