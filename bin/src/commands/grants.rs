//! `lfk grants`.

use serde::Serialize;

use crate::cli::Grants;
use crate::commands::{Context, Outcome};
use crate::exit::Exit;
use crate::output;

#[derive(Debug, Serialize)]
struct Answer {
    sql: String,
}

pub(super) fn run(context: &Context, roles: &Grants) -> Outcome {
    let database = roles.database.as_deref();
    let sql = context.engine.grants_script(database, &roles.installer, &roles.worker, roles.revoke)?;
    output::answer(context.format, &Answer { sql }, |answer| answer.sql.clone())?;
    Ok(Exit::Ok)
}
