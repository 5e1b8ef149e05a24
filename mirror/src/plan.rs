//! Whether a mirror may be installed and run. Reads catalogs only.

use lfk_core::parts::{Declaration, mirror_ends};
use lfk_core::{Database, Error, PlannedMirror, Result};

use crate::Mirror;
use crate::columns::Columns;

/// Judges one mirror.
///
/// # Errors
/// When a database cannot be asked.
pub(crate) async fn plan(mirror: &Mirror, declaration: &Declaration, databases: &[Database]) -> Result<PlannedMirror> {
    let (source, target) = (named(databases, &mirror.source.database)?, named(databases, &mirror.target.database)?);
    let ends = mirror_ends(declaration, databases).await?;
    let mut planned = PlannedMirror::default();
    planned.name.clone_from(&mirror.name);
    planned.source = mirror.source.to_string();
    planned.target = mirror.target.to_string();
    planned.source_rows_estimate = ends.source_rows_estimate;
    planned.target_rows_estimate = ends.target_rows_estimate;
    planned.effect = effect(mirror);
    planned.findings = ends.findings;
    if ends.may_be_named {
        let lacks_rights = planned.findings.iter().any(|f| f.code == "missing_privilege");
        let judged = Columns::load(mirror, source, target).await?;
        // What was not readable for want of a right has been said, with the statement that grants it.
        let news = judged.findings.into_iter().filter(|f| !(lacks_rights && f.code == "no_privilege"));
        planned.findings.extend(news);
    }
    Ok(planned)
}

fn named<'a>(databases: &'a [Database], name: &str) -> Result<&'a Database> {
    databases
        .iter()
        .find(|database| database.name() == name)
        .ok_or_else(|| Error::config(format!("there is no database \"{name}\"")))
}

fn effect(mirror: &Mirror) -> String {
    let columns: Vec<&str> = mirror.columns.iter().map(|c| c.target.as_str()).collect();
    let only = mirror.filter.as_ref().map(|sql| format!(" where {}", sql.as_str())).unwrap_or_default();
    let what = if columns.is_empty() { "its keys".to_owned() } else { columns.join(", ") };
    format!("{} keeps {what} as the rows of {}{only} have them", mirror.target, mirror.source)
}
