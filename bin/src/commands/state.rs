//! `lfk activate`, `lfk observe` and `lfk pause`.

use lfk_core::{Finding, State, StateChange};

use crate::cli::Chosen;
use crate::commands::plan::refuse_what_plan_refuses;
use crate::commands::{ByKind, Context, Outcome};
use crate::config::chosen;
use crate::exit::Exit;
use crate::output;

pub(super) async fn change(context: &Context, which: &Chosen, to: State, from_now: bool) -> Outcome {
    let names = chosen(&context.engine, &which.names)?;
    if to == State::Active {
        refuse_what_plan_refuses(&context.engine, &names, Finding::forbids_work).await?;
    }
    let changes = context.engine.set_state(&names, to, from_now).await?;
    let answer = context.by_kind(changes, |one| &one.name);
    output::answer(context.format, &answer, text)?;
    Ok(Exit::Ok)
}

fn text(answer: &ByKind<StateChange>) -> String {
    let rows = answer
        .all()
        .map(|c| vec![c.name.clone(), c.from.to_string(), c.to.to_string(), note(c.rewound, c.keys_left_log)]);
    output::table(&["NAME", "WAS", "IS", "NOTE"], rows.collect())
}

fn note(rewound: bool, keys_left_log: i64) -> String {
    match (rewound, keys_left_log) {
        (false, _) => String::new(),
        (true, 0) => "goes on from the start of the log".to_owned(),
        (true, n) => format!(
            "goes on from the start of the log, which no longer keeps {} that were observed",
            if n == 1 { "1 key".to_owned() } else { format!("{} keys", output::count(n)) }
        ),
    }
}
