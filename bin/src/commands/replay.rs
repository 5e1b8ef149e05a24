//! `lfk replay`.

use lfk_core::Replayed;

use crate::cli;
use crate::commands::status::pending;
use crate::commands::{ByKind, Context, Outcome};
use crate::config::chosen;
use crate::exit::Exit;
use crate::output;

pub(super) async fn run(context: &Context, args: &cli::Replay) -> Outcome {
    let names = chosen(&context.engine, &args.chosen.names)?;
    let replayed = context.engine.replay(&names, args.since, args.restored).await?;
    let answer = context.by_kind(replayed, |one| &one.name);
    output::answer(context.format, &answer, text)?;
    Ok(Exit::Ok)
}

fn text(answer: &ByKind<Replayed>) -> String {
    let rows = answer.all().map(|r| {
        let (start, keys) = if r.rewound {
            let start = r.start.clone().unwrap_or_else(|| "the start of the log".to_owned());
            (start, pending(r.keys, r.keys_is_lower_bound))
        } else {
            ("-".to_owned(), "-".to_owned())
        };
        vec![r.name.clone(), r.state.to_string(), start, keys, note(r)]
    });
    output::table(&["NAME", "STATE", "FROM", ">KEYS", "NOTE"], rows.collect())
}

fn note(replayed: &Replayed) -> String {
    let mut notes = Vec::new();
    match (replayed.rewound, replayed.state) {
        (false, _) => notes.push("left as it is: activating goes back to the start of the log".to_owned()),
        (true, lfk_core::State::Active) => {}
        (true, _) => notes.push("looked at when it is activated".to_owned()),
    }
    if replayed.rewound && replayed.markers > 0 {
        notes.push("all child keys are looked at, too".to_owned());
    }
    if replayed.accepted {
        notes.push("the children's database is accepted as it is now".to_owned());
    }
    notes.join("; ")
}
