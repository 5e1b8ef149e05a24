//! `lfk grants`: the least rights of those who install and those who work.

use std::fmt::Write as _;

use lfk_sql::{Ident, Piece, Sql, Template, statements};

use super::script::{comment, table};
use crate::database::Database;
use crate::declaration::Declaration;
use crate::definition::{LooseForeignKey, OnDelete};
use crate::error::{Error, Result};
use crate::plan::{child_columns, written_columns};
use crate::relation::Relation;

const GRANTS: &str = "\
-- Every statement may be repeated. The roles must exist, and both must be able to log in. Neither needs any other right, and
-- roles of applications need none in schema lfk. They may be one role.
";

const REVOKES: &str = "\
-- Stop every worker first. What is installed stays, and goes on logging keys: `lfk uninstall` removes it. USAGE on schemas of
-- the application is left, because others may have granted it, too.
";

const BY_OWNERS: &str = "\
-- By the owner of the database and of these tables, or by members of their roles. Again when a table gets partitions that the installer does not own, and
-- when the configuration changes. Triggers of the application on a child run as the worker: they may need further rights.
";

const BY_INSTALLER: &str = "\
-- By the installer, after `lfk install`.
";

/// Who installs and who works.
struct Roles {
    installer: Ident,
    worker: Ident,
}

/// The rights in one database, or in each of them. Touches no network.
///
/// # Errors
/// When a role's name is none, or the database is not configured.
pub(crate) fn grants(
    databases: &[Database],
    definitions: &[LooseForeignKey],
    only: Option<&str>,
    (installer, worker): (&str, &str),
    revoke: bool,
) -> Result<String> {
    let role =
        |name: &str| Ident::new(name).map_err(|e| Error::config(format!("this cannot be the name of a role: {e}")));
    let roles = Roles { installer: role(installer)?, worker: role(worker)? };
    if let Some(odd) = odd_name(&roles, definitions) {
        return Err(Error::config(format!("the name {odd} cannot stand in a script of grants")));
    }
    let declared: Vec<Declaration> = definitions.iter().map(Declaration::from).collect();
    let all: Vec<&Declaration> = declared.iter().collect();
    let chosen: Vec<&Database> = match only {
        Some(name) => vec![super::named(databases, name)?],
        None => super::mentioned(databases, &all),
    };
    let mut out = String::new();
    for database in chosen {
        let (title, preface) = if revoke { ("rights to take back", REVOKES) } else { ("rights", GRANTS) };
        let _ = writeln!(out, "-- lfk: {title}, database {}\n{preface}", comment(database.name()));
        if revoke {
            roles.write_revokes(&mut out, database, definitions)
        } else {
            roles.write(&mut out, database, definitions)
        }
    }
    Ok(out)
}

/// A name that would end a block of the script.
fn odd_name(roles: &Roles, definitions: &[LooseForeignKey]) -> Option<String> {
    let relations = definitions.iter().flat_map(|d| [&d.parent, &d.child]);
    let tables = relations.flat_map(|r| [r.table.to_string()]);
    let columns = definitions.iter().flat_map(|d| child_columns(d).into_iter().map(ToString::to_string));
    let mut all = [roles.installer.to_string(), roles.worker.to_string()].into_iter().chain(tables).chain(columns);
    all.find(|name| name.contains("$do$"))
}

impl Roles {
    fn write(&self, out: &mut String, database: &Database, definitions: &[LooseForeignKey]) {
        let parents = parents(database, definitions);
        let children: Vec<&LooseForeignKey> =
            definitions.iter().filter(|d| d.child.database == database.name()).collect();
        let _ = writeln!(out, "{BY_OWNERS}");
        line(out, statements::GRANT_DATABASE, &[("role_name", name(&self.installer))]);
        for parent in &parents {
            let _ = writeln!(out, "-- The parents in {}", comment(&parent.table.to_string()));
            line(
                out,
                statements::GRANT_TRIGGERS,
                &[
                    ("schema", (&parent.table.schema).into()),
                    ("role", (&self.installer).into()),
                    ("role_name", name(&self.installer)),
                    ("table", table(parent)),
                ],
            );
            line(
                out,
                statements::GRANT_PARENT,
                &[
                    ("schema", (&parent.table.schema).into()),
                    ("role", (&self.worker).into()),
                    ("role_name", name(&self.worker)),
                    ("table_name", table(parent)),
                    ("columns", list(&parent.columns.iter().collect::<Vec<_>>())),
                    ("table", (&parent.table).into()),
                ],
            );
        }
        for definition in &children {
            let _ = writeln!(out, "-- The children of {}", comment(&definition.name));
            line(
                out,
                statements::GRANT_CHILD,
                &[
                    ("schema", (&definition.child.table.schema).into()),
                    ("role", (&self.worker).into()),
                    ("role_name", name(&self.worker)),
                    ("table", table(&definition.child)),
                    ("read", names(&child_columns(definition))),
                    ("written", names(&written_columns(definition))),
                ],
            );
            if definition.on_delete == OnDelete::Delete {
                let pieces = [("role_name", name(&self.worker)), ("table", table(&definition.child))];
                line(out, statements::GRANT_DELETE, &pieces);
            }
        }
        let _ = writeln!(out, "{BY_INSTALLER}");
        if !parents.is_empty() {
            let pieces = [("role", (&self.worker).into()), ("role_name", name(&self.worker))];
            line(out, statements::GRANT_LFK_PARENTS, &pieces);
        }
        if !children.is_empty() {
            line(out, statements::GRANT_LFK_CHILDREN, &[("role", (&self.worker).into())]);
        }
    }

    fn write_revokes(&self, out: &mut String, database: &Database, definitions: &[LooseForeignKey]) {
        for definition in definitions.iter().filter(|d| d.child.database == database.name()) {
            line(
                out,
                statements::REVOKE_CHILD,
                &[
                    ("role_name", name(&self.worker)),
                    ("table", table(&definition.child)),
                    ("read", names(&child_columns(definition))),
                    ("written", names(&written_columns(definition))),
                ],
            );
        }
        for parent in parents(database, definitions) {
            line(
                out,
                statements::REVOKE_PARENT,
                &[
                    ("worker", (&self.worker).into()),
                    ("installer_name", name(&self.installer)),
                    ("columns", list(&parent.columns.iter().collect::<Vec<_>>())),
                    ("table", (&parent.table).into()),
                    ("table_name", table(parent)),
                ],
            );
        }
        line(out, statements::REVOKE_LFK, &[("role_name", name(&self.worker))]);
        line(out, statements::REVOKE_DATABASE, &[("role_name", name(&self.installer))]);
    }
}

/// The parents that live in a database, each once.
fn parents<'a>(database: &Database, definitions: &'a [LooseForeignKey]) -> Vec<&'a Relation> {
    let mut parents: Vec<&Relation> =
        definitions.iter().map(|d| &d.parent).filter(|p| p.database == database.name()).collect();
    parents.sort_by_key(ToString::to_string);
    parents.dedup();
    parents
}

fn line(out: &mut String, template: Template, pieces: &[(&str, Piece)]) {
    let _ = writeln!(out, "{}\n", template.render(pieces).as_str());
}

/// A name as text that is put into a statement by the server.
fn name(role: &Ident) -> Piece {
    Piece::literal(role.to_string())
}

fn names(columns: &[&Ident]) -> Piece {
    Piece::literal(columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

/// Names as they stand in a statement.
fn list(columns: &[&Ident]) -> Piece {
    let column = |column: &&Ident| statements::GRANT_COLUMN.render(&[("column", (*column).into())]);
    Sql::join(columns.iter().map(column), ", ").into()
}
