//! Whether two databases are the pair that was installed, asked at every claim and before any work.
//!
//! Each database has an identity row that a copy carries along without matching it (another oid, or a row that another
//! cluster wrote), and each pair has a nonce on both sides that changes as it works, so that a physical copy of one side
//! no longer agrees with the other. The exchange survives a crash at any point: the parent's side first offers the next
//! nonce beside the last one, the child's side takes it, and the parent's side then forgets the last one. An exchange that
//! finds both accepts either.

use lfk_sql::statements;
use sqlx::Row as _;
use uuid::Uuid;

use crate::cursor::Lease;
use crate::database::{Database, Purpose};
use crate::declaration::Declaration;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::KeyType;
use crate::points::{Point, Points};
use crate::schedule::Lane;

const SCHEMA_MISSING: &str = "lfk is not installed here";
const INSTALL_ANEW: &str =
    "check the url; if this database is the right one now, run `lfk uninstall` and then `lfk install`";

/// How often the nonces are compared before they count as different.
const COMPARISONS: u32 = 3;

/// What an identity row says about its own database.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) id: Uuid,
}

/// The two databases of a definition, found to be the pair that was installed.
#[derive(Debug)]
pub struct Paired {
    /// The types that keys are cast to wherever they are compared.
    pub(crate) key_types: Vec<KeyType>,
    /// The identity of the log's database.
    pub home_identity: Uuid,
    /// Whether both ends are in one database.
    pub same_database: bool,
}

/// Proves that the databases of a definition are the pair that was installed.
///
/// # Errors
/// Refused before anything was changed, when a database is not the one that was recorded.
pub(crate) async fn verify(
    definition: &Declaration,
    lane: Lane,
    lease: &Lease,
    away: &Database,
    points: &Points,
) -> Result<Paired> {
    let home = &lease.home;
    let Met { home_identity, known, same_database } = meet(definition, home, away).await?;
    match lane {
        Lane::Head => exchange_nonce(definition, lease, away, home_identity, points).await?,
        Lane::Trailing => compare_nonces(definition, lease, away, home_identity).await?,
    }
    Ok(Paired { key_types: known.key_types, home_identity, same_database })
}

/// Two databases that are the ones that were recorded. Whether they are of one time is another question.
struct Met {
    home_identity: Uuid,
    known: Known,
    same_database: bool,
}

async fn meet(definition: &Declaration, home: &Database, away: &Database) -> Result<Met> {
    let home_identity = identify(home).await?;
    let known = load(definition, home).await?;
    let away_identity = identify(away).await?;
    if away_identity.id != known.child_identity {
        return Err(refused(definition, away, "this is not the database that the definition was installed with"));
    }
    let same_database = away_identity.id == home_identity.id;
    if same_database && !is_same_database(home, away).await? {
        return Err(refused(
            definition,
            away,
            "this is a copy of the other database: both have one identity, and they are two",
        ));
    }
    Ok(Met { home_identity: home_identity.id, known, same_database })
}

/// The nonce that the child's side has, whether or not the parent's side knows it. For a person who says that the children's
/// database was restored, and is the right one.
///
/// # Errors
/// Refused when it is a copy, or another database than the one that was recorded.
pub(crate) async fn nonce_of_children(definition: &Declaration, home: &Database, away: &Database) -> Result<Uuid> {
    let met = meet(definition, home, away).await?;
    read_peer(definition, away, met.home_identity).await
}

/// Exchanges nonces once more after children were changed, so that a copy of either side from before that no longer agrees: the
/// exchange at the beginning of a turn says nothing about the changes after it.
///
/// # Errors
/// As [`verify`].
pub(crate) async fn seal(definition: &Declaration, lease: &Lease, away: &Database, points: &Points) -> Result<()> {
    let home_identity = identify(&lease.home).await?;
    exchange_nonce(definition, lease, away, home_identity.id, points).await
}

/// How the parent's key columns compare now.
pub(crate) async fn key_kinds(definition: &Declaration, home: &Database) -> Result<Vec<Option<String>>> {
    let columns: Vec<&str> = definition.parent.columns.iter().map(lfk_sql::Ident::as_str).collect();
    let mut tx = home.begin(Purpose::Log).await?;
    let kinds = tx
        .query_scalar(statements::KEY_KINDS.clone().into_sql_str())
        .bind(definition.parent.table.to_string())
        .bind(columns)
        .fetch_one(tx.conn())
        .await
        .map_err(|e| home.error(e))?;
    tx.commit().await?;
    Ok(kinds)
}

/// The key's types, for a definition that only observes: the other database need not be there.
///
/// # Errors
/// Refused when what is installed is another definition.
pub(crate) async fn key_types(definition: &Declaration, lease: &Lease) -> Result<Vec<KeyType>> {
    load(definition, &lease.home).await.map(|known| known.key_types)
}

/// Reads the identity row, and refuses a copy that carries another database's row.
///
/// # Errors
/// Not installed, or refused.
pub(crate) async fn check_identity(database: &Database) -> Result<()> {
    identify(database).await.map(|_| ())
}

pub(crate) async fn identify(database: &Database) -> Result<Identity> {
    let mut tx = database.begin(Purpose::Log).await?;
    let row = tx.query(statements::IDENTIFY).fetch_optional(tx.conn()).await.map_err(|e| missing(database, e))?;
    tx.commit().await?;
    let Some(row) = row else { return Err(not_installed(database)) };
    if !row.get::<bool, _>("same_oid") || !row.get::<bool, _>("written_here") {
        return Err(Error::refused(
            "this is a copy of the database that lfk was installed in: its identity row was written elsewhere",
        )
        .in_database(database.name())
        .with_hint(INSTALL_ANEW));
    }
    let version: i32 = row.get("schema_version");
    if version != crate::capture::SCHEMA_VERSION {
        return Err(Error::new(
            ErrorKind::NotInstalled,
            format!("schema lfk is at version {version}, this program needs {}", crate::capture::SCHEMA_VERSION),
        )
        .in_database(database.name())
        .with_hint("run `lfk install` with this version, or use the program of the other version"));
    }
    Ok(Identity { id: row.get("id") })
}

fn not_installed(database: &Database) -> Error {
    Error::new(ErrorKind::NotInstalled, SCHEMA_MISSING).in_database(database.name()).with_hint("run `lfk install`")
}

/// Says "not installed" where the schema or a table of it is missing.
pub(crate) fn missing(database: &Database, error: sqlx::Error) -> Error {
    let error = database.error(error);
    match error.sqlstate().as_deref() {
        Some("3F000" | "42P01") => not_installed(database),
        _ => error,
    }
}

struct Known {
    child_identity: Uuid,
    key_types: Vec<KeyType>,
}

async fn load(definition: &Declaration, home: &Database) -> Result<Known> {
    let mut tx = home.begin(Purpose::Log).await?;
    let row = tx
        .query(statements::LOAD_DEFINITION)
        .bind(&definition.name)
        .bind(definition.parent.table.to_string())
        .fetch_optional(tx.conn())
        .await
        .map_err(|e| home.error(e))?;
    tx.commit().await?;
    let refuse = |message: &str| {
        Err(Error::refused(message)
            .in_database(home.name())
            .for_definition(&definition.name)
            .with_hint("run `lfk install`"))
    };
    let Some(row) = row else { return refuse("it is not installed") };
    if row.get::<&str, _>("fingerprint") != definition.fingerprint {
        return Err(another(definition, home));
    }
    if row.get("swapped") {
        return Err(swapped(definition, home));
    }
    let types: Vec<String> = row.get("key_types");
    let key_types: Option<Vec<KeyType>> = types.iter().map(|t| KeyType::from_type_name(t)).collect();
    match key_types {
        Some(key_types) if key_types.len() == definition.parent.columns.len() => {
            Ok(Known { child_identity: row.get("child_identity"), key_types })
        }
        _ => refuse("its key has a type that this version does not know"),
    }
}

/// The configuration was changed and not installed. The place is in the message, as in that of [`swapped`]: the note belongs into
/// the database, where the alerts look for it.
fn another(definition: &Declaration, home: &Database) -> Error {
    let (database, name) = (home.name(), &definition.name);
    Error::refused(format!(
        "database \"{database}\": what is installed as {name} is another definition than the configured one"
    ))
    .for_definition(name)
    .with_hint("run `lfk install` with the newer configuration, or start the daemon with the one that was installed")
}

/// The log is of the table that had the name, and every question would go to the one that has it now.
fn swapped(definition: &Declaration, home: &Database) -> Error {
    let (database, table) = (home.name(), &definition.parent.table);
    // The place is in the message: the database itself is ours to work in, and the note belongs there.
    Error::refused(format!(
        "{database}:{table} is another table than the one whose changes are logged, which was renamed or moved: deletes in this one \
         are not seen"
    ))
    .for_definition(&definition.name)
    .with_hint(
        "`lfk install` follows the table that has the name now, and the definition observes until it is activated again; or \
         rename the tables back. `lfk scan` and `lfk mirror check` find what was missed in between",
    )
}

/// Two handles lead to one database exactly when one sees the other's advisory lock. Names and ports prove nothing.
pub(crate) async fn is_same_database(home: &Database, away: &Database) -> Result<bool> {
    let secret: i64 = rand::random();
    let mut here = home.begin(Purpose::Log).await?;
    let mine: bool = here
        .query_scalar(statements::HOLD_PROBE)
        .bind(secret)
        .fetch_one(here.conn())
        .await
        .map_err(|e| home.error(e))?;
    let mut there = away.begin(Purpose::Log).await?;
    let free: bool = there
        .query_scalar(statements::HOLD_PROBE)
        .bind(secret)
        .fetch_one(there.conn())
        .await
        .map_err(|e| away.error(e))?;
    Ok(mine && !free)
}

/// What the child's side has as its nonce.
async fn read_peer(definition: &Declaration, away: &Database, home_identity: Uuid) -> Result<Uuid> {
    let mut tx = away.begin(Purpose::Log).await?;
    let seen = tx
        .query_scalar(statements::READ_PEER)
        .bind(&definition.name)
        .bind(home_identity)
        .fetch_optional(tx.conn())
        .await
        .map_err(|e| away.error(e))?;
    tx.commit().await?;
    seen.ok_or_else(|| refused(definition, away, "it knows nothing of this definition"))
}

fn refused(definition: &Declaration, away: &Database, message: &str) -> Error {
    Error::refused(message).in_database(away.name()).for_definition(&definition.name).with_hint(INSTALL_ANEW)
}

/// One of the two is of another time than the other.
fn disagree(definition: &Declaration, away: &Database) -> Error {
    let name = &definition.name;
    refused(definition, away, "the two databases no longer agree: one of them is a copy or was restored from a backup").with_hint(format!(
        "check the urls; if the children's database was restored or has failed over, and is the right one, \
         `lfk replay {name} --restored --since` and the time of its state; if the parents' was, run `lfk uninstall` and then \
         `lfk install`"
    ))
}

/// For the trailing cursor, which may be at work at the same time as the head: only one of the two may exchange nonces. The
/// head may move on by two steps between the two questions, so that one answer proves nothing against the pair.
async fn compare_nonces(definition: &Declaration, lease: &Lease, away: &Database, home_identity: Uuid) -> Result<()> {
    for _ in 0..COMPARISONS {
        let seen = read_peer(definition, away, home_identity).await?;
        let mut tx = lease.home.begin(Purpose::Log).await?;
        let agrees = tx.query_scalar(statements::AGREES).bind(&definition.name).bind(seen);
        let agrees: bool = agrees.fetch_one(tx.conn()).await.map_err(|e| lease.home.error(e))?;
        tx.commit().await?;
        if agrees {
            return Ok(());
        }
    }
    Err(disagree(definition, away))
}

async fn exchange_nonce(
    definition: &Declaration,
    lease: &Lease,
    away: &Database,
    home_identity: Uuid,
    points: &Points,
) -> Result<()> {
    for _ in 0..COMPARISONS {
        let seen = read_peer(definition, away, home_identity).await?;
        let Some(next) = offer(definition, lease, seen).await? else {
            // A worker that lost its lease may have finished its exchange just now: only a side that stays as it was is a copy.
            if read_peer(definition, away, home_identity).await? == seen {
                return Err(disagree(definition, away));
            }
            continue;
        };
        points.pass(Point::NonceOffered, &definition.name).await?;
        if !take(definition, away, home_identity, seen, next).await?
            && read_peer(definition, away, home_identity).await? != next
        {
            return Err(lease.lose());
        }
        points.pass(Point::Paired, &definition.name).await?;
        return confirm(definition, lease, next).await;
    }
    Err(lease.lose())
}

/// The parent's side offers the next nonce. An offer that is pending is made again instead of another one: the worker that
/// made it may still be about to carry it over. `None`: the child's side has a nonce that this side does not know.
async fn offer(definition: &Declaration, lease: &Lease, seen: Uuid) -> Result<Option<Uuid>> {
    let mut tx = lease.home.begin(Purpose::Log).await?;
    lease.hold(&mut tx).await?;
    let next = tx
        .query_scalar(statements::OFFER_NONCE)
        .bind(&definition.name)
        .bind(seen)
        .bind(Uuid::new_v4())
        .fetch_optional(tx.conn())
        .await
        .map_err(|e| lease.home.error(e))?;
    tx.commit().await?;
    Ok(next)
}

/// The child's side takes it. False: it has another one by now.
async fn take(definition: &Declaration, away: &Database, home: Uuid, seen: Uuid, next: Uuid) -> Result<bool> {
    let mut tx = away.begin(Purpose::Log).await?;
    let taken = tx
        .query(statements::TAKE_NONCE)
        .bind(&definition.name)
        .bind(home)
        .bind(seen)
        .bind(next)
        .execute(tx.conn())
        .await
        .map_err(|e| away.error(e))?;
    tx.commit().await?;
    Ok(taken.rows_affected() > 0)
}

/// The parent's side knows that it was taken: from here on an older copy of the child's side no longer agrees.
async fn confirm(definition: &Declaration, lease: &Lease, next: Uuid) -> Result<()> {
    let mut tx = lease.home.begin(Purpose::Log).await?;
    tx.query(statements::CONFIRM_NONCE)
        .bind(&definition.name)
        .bind(next)
        .execute(tx.conn())
        .await
        .map_err(|e| lease.home.error(e))?;
    tx.commit().await
}
