//! `lfk grants`: the least rights of those who install and those who work.

use std::fmt::Write as _;

use lfk_sql::{Ident, Piece, Sql, Template, statements};

use super::script::{comment, table};
use crate::database::Database;
use crate::declaration::{Declaration, Kind};
use crate::definition::{LooseForeignKey, OnDelete};
use crate::error::{Error, Result};
use crate::plan::{child_columns, source_columns, updated_columns, written_columns};
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
    declared: &[Declaration],
    only: Option<&str>,
    (installer, worker): (&str, &str),
    revoke: bool,
) -> Result<String> {
    let role =
        |name: &str| Ident::new(name).map_err(|e| Error::config(format!("this cannot be the name of a role: {e}")));
    let roles = Roles { installer: role(installer)?, worker: role(worker)? };
    if let Some(odd) = odd_name(&roles, definitions, declared) {
        return Err(Error::config(format!("the name {odd} cannot stand in a script of grants")));
    }
    let all: Vec<&Declaration> = declared.iter().collect();
    let mirrors: Vec<&Declaration> = declared.iter().filter(|d| d.kind == Kind::Mirror).collect();
    let chosen: Vec<&Database> = match only {
        Some(name) => vec![super::named(databases, name)?],
        None => super::mentioned(databases, &all),
    };
    let mut out = String::new();
    for database in chosen {
        let (title, preface) = if revoke { ("rights to take back", REVOKES) } else { ("rights", GRANTS) };
        let _ = writeln!(out, "-- lfk: {title}, database {}\n{preface}", comment(database.name()));
        if revoke {
            roles.write_revokes(&mut out, database, definitions, &mirrors)
        } else {
            roles.write(&mut out, database, definitions, &mirrors)
        }
    }
    Ok(out)
}

/// A name that would end a block of the script.
fn odd_name(roles: &Roles, definitions: &[LooseForeignKey], declared: &[Declaration]) -> Option<String> {
    let relations = declared.iter().flat_map(|d| [&d.parent, &d.child]);
    let tables = relations.clone().flat_map(|r| [r.table.to_string()]);
    let keys = relations.flat_map(|r| &r.columns);
    let others = declared.iter().flat_map(|d| d.watched.iter().flatten().chain(&d.written));
    let columns = definitions.iter().flat_map(child_columns).chain(keys).chain(others).map(ToString::to_string);
    let mut all = [roles.installer.to_string(), roles.worker.to_string()].into_iter().chain(tables).chain(columns);
    all.find(|name| name.contains("$do$"))
}

impl Roles {
    fn write(&self, out: &mut String, database: &Database, definitions: &[LooseForeignKey], mirrors: &[&Declaration]) {
        let parents = parents(database, definitions);
        let (sources, targets) = (sources(database, mirrors), targets(database, mirrors));
        let children: Vec<&LooseForeignKey> =
            definitions.iter().filter(|d| d.child.database == database.name()).collect();
        let _ = writeln!(out, "{BY_OWNERS}");
        line(out, statements::GRANT_DATABASE, &[("role_name", name(&self.installer))]);
        for parent in &parents {
            let _ = writeln!(out, "-- The parents in {}", comment(&parent.table.to_string()));
            self.let_trigger(out, parent);
            self.let_read(out, parent, &parent.columns.iter().collect::<Vec<_>>());
        }
        for definition in &children {
            self.let_clean(out, definition);
        }
        for mirror in &sources {
            let _ = writeln!(out, "-- The source of {}", comment(&mirror.name));
            self.let_trigger(out, &mirror.parent);
            self.let_read_source(out, mirror);
        }
        for mirror in &targets {
            let _ = writeln!(out, "-- The target of {}", comment(&mirror.name));
            let mut pieces = self.of_target(mirror);
            pieces.extend([
                ("schema", (&mirror.child.table.schema).into()),
                ("role_name", name(&self.worker)),
                ("table_name", table(&mirror.child)),
            ]);
            line(out, statements::GRANT_TARGET, &pieces);
        }
        let _ = writeln!(out, "{BY_INSTALLER}");
        let worker = [("role", (&self.worker).into())];
        if !parents.is_empty() || !sources.is_empty() {
            let pieces = [("role", (&self.worker).into()), ("role_name", name(&self.worker))];
            line(out, statements::GRANT_LFK_PARENTS, &pieces);
        }
        if !children.is_empty() || !targets.is_empty() {
            line(out, statements::GRANT_LFK_CHILDREN, &worker);
        }
        if !targets.is_empty() {
            line(out, statements::GRANT_LFK_TARGETS, &worker);
        }
    }

    fn let_trigger(&self, out: &mut String, relation: &Relation) {
        let pieces = [
            ("schema", (&relation.table.schema).into()),
            ("role", (&self.installer).into()),
            ("role_name", name(&self.installer)),
            ("table", table(relation)),
        ];
        line(out, statements::GRANT_TRIGGERS, &pieces);
    }

    fn let_read(&self, out: &mut String, relation: &Relation, columns: &[&Ident]) {
        let pieces = [
            ("schema", (&relation.table.schema).into()),
            ("role", (&self.worker).into()),
            ("role_name", name(&self.worker)),
            ("table_name", table(relation)),
            ("columns", list(columns)),
            ("table", (&relation.table).into()),
        ];
        line(out, statements::GRANT_PARENT, &pieces);
    }

    fn let_clean(&self, out: &mut String, definition: &LooseForeignKey) {
        let _ = writeln!(out, "-- The children of {}", comment(&definition.name));
        let pieces = [
            ("schema", (&definition.child.table.schema).into()),
            ("role", (&self.worker).into()),
            ("role_name", name(&self.worker)),
            ("table", table(&definition.child)),
            ("read", names(&child_columns(definition))),
            ("written", names(&written_columns(definition))),
        ];
        line(out, statements::GRANT_CHILD, &pieces);
        if definition.on_delete == OnDelete::Delete {
            let pieces = [("role_name", name(&self.worker)), ("table", table(&definition.child))];
            line(out, statements::GRANT_DELETE, &pieces);
        }
    }

    fn let_read_source(&self, out: &mut String, mirror: &Declaration) {
        if !mirror.has_expressions {
            return self.let_read(out, &mirror.parent, &source_columns(mirror));
        }
        let pieces = [
            ("schema", (&mirror.parent.table.schema).into()),
            ("role", (&self.worker).into()),
            ("role_name", name(&self.worker)),
            ("table_name", table(&mirror.parent)),
            ("table", (&mirror.parent.table).into()),
        ];
        line(out, statements::GRANT_SOURCE, &pieces);
    }

    fn of_target(&self, mirror: &Declaration) -> Vec<(&'static str, Piece)> {
        let keys = || mirror.child.columns.iter();
        let inserted: Vec<&Ident> = keys().chain(&mirror.written).collect();
        vec![
            ("role", (&self.worker).into()),
            ("inserted", list(&inserted)),
            ("updated", list(&updated_columns(mirror))),
            ("table", (&mirror.child.table).into()),
        ]
    }

    fn write_revokes(
        &self,
        out: &mut String,
        database: &Database,
        definitions: &[LooseForeignKey],
        mirrors: &[&Declaration],
    ) {
        for mirror in targets(database, mirrors) {
            line(out, statements::REVOKE_TARGET, &self.of_target(mirror));
        }
        for mirror in sources(database, mirrors) {
            if mirror.has_expressions {
                let pieces = [
                    ("table", (&mirror.parent.table).into()),
                    ("role", (&self.worker).into()),
                    ("role_name", name(&self.worker)),
                ];
                line(out, statements::REVOKE_SOURCE, &pieces);
            }
            self.revoke_read(out, &mirror.parent, &source_columns(mirror));
        }
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
            self.revoke_read(out, parent, &parent.columns.iter().collect::<Vec<_>>());
        }
        line(out, statements::REVOKE_LFK, &[("role_name", name(&self.worker))]);
        line(out, statements::REVOKE_DATABASE, &[("role_name", name(&self.installer))]);
    }

    fn revoke_read(&self, out: &mut String, relation: &Relation, columns: &[&Ident]) {
        let pieces = [
            ("worker", (&self.worker).into()),
            ("installer_name", name(&self.installer)),
            ("columns", list(columns)),
            ("table", (&relation.table).into()),
            ("table_name", table(relation)),
        ];
        line(out, statements::REVOKE_PARENT, &pieces);
    }
}

/// The mirrors whose source lives in a database.
fn sources<'a>(database: &Database, mirrors: &[&'a Declaration]) -> Vec<&'a Declaration> {
    mirrors.iter().copied().filter(|m| m.parent.database == database.name()).collect()
}

/// The mirrors whose target lives in a database.
fn targets<'a>(database: &Database, mirrors: &[&'a Declaration]) -> Vec<&'a Declaration> {
    mirrors.iter().copied().filter(|m| m.child.database == database.name()).collect()
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
