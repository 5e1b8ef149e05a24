//! `lfk schema sql`.

use serde::Serialize;

use crate::commands::{Context, Outcome};
use crate::exit::Exit;
use crate::output;

#[derive(Debug, Serialize)]
struct Answer {
    sql: String,
}

pub(super) fn sql(context: &Context, down: bool) -> Outcome {
    let answer = Answer { sql: context.engine.schema_sql(down)? };
    output::answer(context.format, &answer, |answer| answer.sql.clone())?;
    Ok(Exit::Ok)
}
