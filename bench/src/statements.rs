//! The SQL of benches and baselines, one statement (or one step of a stage) a file in `bench/sql/`.

macro_rules! statements {
    ($($name:ident = $path:literal: $what:literal;)*) => {
        $(#[doc = $what] pub const $name: &str = include_str!(concat!("../sql/", $path));)*
    };
}

/// Making databases.
pub mod stage {
    statements! {
        CREATE_DATABASE = "stage/create_database.sql": "The database of a bench.";
        CREATE_PARENTS = "stage/create_parents.sql": "Tables of the parents' database.";
        CREATE_CHILDREN = "stage/create_children.sql": "Tables of the children's database.";
        INDEX_CHILDREN = "stage/index_children.sql": "Indexes of the children, after they were filled.";
        FILL_PARENTS = "stage/fill_parents.sql": "Parents: count.";
        FILL_BUILDS = "stage/fill_builds.sql": "Children to delete: parents, children of each.";
        FILL_NOTES = "stage/fill_notes.sql": "Children to null: parents.";
        FILL_SURVIVORS = "stage/fill_survivors.sql": "Children of parents that stay: parents, of each, so many doomed.";
        FILL_DOOMED = "stage/fill_doomed.sql": "The list of doomed parents: parents, of each, so many.";
        VACUUM = "stage/vacuum.sql": "Statistics and hint bits.";
        DELETE_DOOMED = "stage/delete_doomed.sql": "One statement deletes the doomed parents.";
    }
}

/// Sessions and servers.
pub mod session {
    statements! {
        CHECKPOINT = "session/checkpoint.sql": "Writes everything out.";
        WAL_POSITION = "session/wal_position.sql": "Bytes of WAL so far.";
        SETTINGS = "session/settings.sql": "Whether commits are durable.";
        BASELINE = "session/baseline.sql": "How the sessions of baselines plan.";
        NO_SYNC = "session/no_sync.sql": "Commits of this session are not waited for.";
        IS_DRAINED = "session/is_drained.sql": "Fails unless nothing is left of a definition.";
        HOLD_HORIZON = "session/hold_horizon.sql": "Begins a transaction that keeps dead rows.";
    }
}

/// Proofs that a run did what it should and nothing else.
pub mod verify {
    statements! {
        PARENTS = "verify/parents.sql": "Doomed parents, others, and their digest.";
        BUILDS = "verify/builds.sql": "Orphans, others, and their digest.";
        NOTES = "verify/notes.sql": "References to doomed parents, all rows, and their digest.";
        LOCAL_BUILDS = "verify/local_builds.sql": "Children in the parents' own database.";
        LOGGED = "verify/logged.sql": "What the key log holds.";
        QUEUED = "verify/queued.sql": "What the queue holds.";
    }
}

/// One statement for everything.
pub mod giant {
    statements! {
        DELETE_BUILDS = "giant/delete_builds.sql": "Deletes all doomed children.";
        NULL_NOTES = "giant/null_notes.sql": "Nulls all doomed references.";
    }
}

/// A queue whose rows are marked as done: GitLab's shape.
pub mod status_queue {
    statements! {
        CREATE_QUEUE = "status_queue/create_queue.sql": "The queue.";
        CREATE_TRIGGER = "status_queue/create_trigger.sql": "The trigger that fills it.";
        LOAD = "status_queue/load.sql": "The next rows of the queue: count.";
        MARK_DONE = "status_queue/mark_done.sql": "These rows are done.";
        COUNT_PENDING = "status_queue/count_pending.sql": "Rows that are not done.";
        DELETE_IN_UNLOCKED = "status_queue/delete_in_unlocked.sql": "IN form, first phase.";
        DELETE_IN = "status_queue/delete_in.sql": "IN form, second phase.";
        DELETE_LATERAL_UNLOCKED = "status_queue/delete_lateral_unlocked.sql": "LATERAL form, first phase.";
        DELETE_LATERAL = "status_queue/delete_lateral.sql": "LATERAL form, second phase.";
        NULL_IN_UNLOCKED = "status_queue/null_in_unlocked.sql": "IN form, first phase.";
        NULL_IN = "status_queue/null_in.sql": "IN form, second phase.";
        NULL_LATERAL_UNLOCKED = "status_queue/null_lateral_unlocked.sql": "LATERAL form, first phase.";
        NULL_LATERAL = "status_queue/null_lateral.sql": "LATERAL form, second phase.";
    }
}

/// What deleting parents costs.
pub mod capture {
    statements! {
        CREATE_LOCAL = "capture/create_local.sql": "Tables for native foreign keys.";
        FILL_LOCAL = "capture/fill_local.sql": "Their children: parents, children of each.";
        INDEX_LOCAL = "capture/index_local.sql": "Their index.";
        ADD_EMPTY_KEY = "capture/add_empty_key.sql": "A native foreign key without children.";
        ADD_FULL_KEY = "capture/add_full_key.sql": "A native foreign key with children.";
        DELETE_SINGLY = "capture/delete_singly.sql": "A function that deletes one by one.";
        CALL_SINGLY = "capture/call_singly.sql": "Calls it: first, last.";
        DELETE_RANGE = "capture/delete_range.sql": "Deletes in one statement: first, last.";
        DELETE_ONE = "capture/delete_one.sql": "Deletes one.";
    }
}

/// Many rows of the log.
pub mod backlog {
    statements! {
        LOG_SINGLY = "backlog/log_singly.sql": "A procedure that writes rows of one key.";
        CALL = "backlog/call.sql": "Calls it.";
        READ_PROGRESS = "backlog/read_progress.sql": "Keys read, and when: consumer.";
    }
}

/// Many children of one parent.
pub mod wide {
    statements! {
        FILL_BUILDS = "wide/fill_builds.sql": "Children of parent 1 and of others.";
        NOTE_BATCHES = "wide/note_batches.sql": "Notes every statement that deletes children.";
        READ_BATCHES = "wide/read_batches.sql": "What was noted.";
    }
}

/// Sources and targets of mirrors.
pub mod mirror {
    statements! {
        CREATE_SOURCES = "mirror/create_sources.sql": "A narrow and a wide source.";
        CREATE_TARGETS = "mirror/create_targets.sql": "Their targets.";
        FILL_NARROW_SOURCES = "mirror/fill_narrow_sources.sql": "Narrow rows: highest key.";
        FILL_NARROW_TARGETS = "mirror/fill_narrow_targets.sql": "The same rows in the target.";
        FILL_WIDE_SOURCES = "mirror/fill_wide_sources.sql": "Wide rows: highest key.";
        FILL_WIDE_TARGETS = "mirror/fill_wide_targets.sql": "The same rows in the target.";
        DIGEST_NARROW_SOURCES = "mirror/digest_narrow_sources.sql": "Count and digest.";
        DIGEST_NARROW_TARGETS = "mirror/digest_narrow_targets.sql": "Count and digest.";
        DIGEST_WIDE_SOURCES = "mirror/digest_wide_sources.sql": "Count and digest.";
        DIGEST_WIDE_TARGETS = "mirror/digest_wide_targets.sql": "Count and digest.";
    }
}

/// Comparing both sides of a mirror.
pub mod check {
    statements! {
        COPY_NARROW_SOURCES = "check/copy_narrow_sources.sql": "All narrow rows of the source in order.";
        COPY_NARROW_TARGETS = "check/copy_narrow_targets.sql": "All narrow rows of the target in order.";
        COPY_WIDE_SOURCES = "check/copy_wide_sources.sql": "All wide rows of the source in order.";
        COPY_WIDE_TARGETS = "check/copy_wide_targets.sql": "All wide rows of the target in order.";
        FETCH_NARROW_SOURCES = "check/fetch_narrow_sources.sql": "Narrow rows of the source: from, to below.";
        FETCH_NARROW_TARGETS = "check/fetch_narrow_targets.sql": "Narrow rows of the target: from, to below.";
        FETCH_WIDE_SOURCES = "check/fetch_wide_sources.sql": "Wide rows of the source: from, to below.";
        FETCH_WIDE_TARGETS = "check/fetch_wide_targets.sql": "Wide rows of the target: from, to below.";
        HIGHEST_KEY_SOURCES = "check/highest_key_sources.sql": "Where windows of keys end in the source.";
        HIGHEST_KEY_TARGETS = "check/highest_key_targets.sql": "Where windows of keys end in the target.";
        DAMAGE_NARROW = "check/damage_narrow.sql": "One row in a thousand.";
        DAMAGE_WIDE = "check/damage_wide.sql": "One row in a thousand.";
    }
}

/// Checks under load.
pub mod check_load {
    statements! {
        WRITE = "check_load/write.sql": "Changes one row of the source.";
        CREATE_DAMAGED = "check_load/create_damaged.sql": "Where damaged rows are kept.";
        DAMAGE = "check_load/damage.sql": "Damages rows that nobody writes: round.";
        MEND = "check_load/mend.sql": "Brings them back.";
    }
}

/// Changes that a mirror follows.
pub mod sync {
    statements! {
        NOTE_CHANGED = "sync/note_changed.sql": "Keys that will be changed: count.";
        CHANGE = "sync/change.sql": "Changes them.";
        COPY_CHANGED = "sync/copy_changed.sql": "What they are now.";
        CREATE_INCOMING = "sync/create_incoming.sql": "Where they are put first.";
        COPY_INCOMING = "sync/copy_incoming.sql": "Puts them there.";
        UPSERT_INCOMING = "sync/upsert_incoming.sql": "One statement for all that are there.";
        DELETE_INCOMING = "sync/delete_incoming.sql": "One statement for all that are gone.";
        CHANGE_ONE = "sync/change_one.sql": "Changes one row.";
        NOTIFY_CHANGED = "sync/notify_changed.sql": "Tells which rows of the target were changed.";
    }
}

/// Looking for orphans.
pub mod scan {
    statements! {
        FILL_BUILDS = "scan/fill_builds.sql": "Children: count, of each parent.";
        COPY_PARENTS = "scan/copy_parents.sql": "Parents as they lie.";
        COPY_CHILDREN = "scan/copy_children.sql": "Children as they lie.";
        COPY_PARENTS_SORTED = "scan/copy_parents_sorted.sql": "Parents in order.";
        COPY_CHILDREN_SORTED = "scan/copy_children_sorted.sql": "Children in order.";
    }
}

/// From a commit to its effect.
pub mod latency {
    statements! {
        NOTIFY_GONE = "latency/notify_gone.sql": "Tells whose children were deleted.";
        READ_DOOMED = "latency/read_doomed.sql": "Parents to delete.";
    }
}

/// What a server is sent.
pub mod log {
    statements! {
        STATEMENTS = "session/log_statements.sql": "Statements are written into the log.";
        NO_STATEMENTS = "session/log_no_statements.sql": "No longer.";
        RELOAD = "session/reload.sql": "Changed settings hold.";
    }
}

/// Small parents behind a wide one.
pub mod fair {
    statements! {
        FILL_BUILDS = "fair/fill_builds.sql": "Children: of the wide parent, small parents, of each.";
        NOTE_SMALL = "fair/note_small.sql": "Notes when children of small parents go.";
        READ_SMALL = "fair/read_small.sql": "When the last went, and how many there were.";
        DELETE_WIDE = "fair/delete_wide.sql": "Deletes the wide parent.";
        FILL_DOOMED = "fair/fill_doomed.sql": "Doomed parents: first, last.";
    }
}

/// An application beside a drain.
pub mod foreground {
    statements! {
        READ_SOME = "foreground/read_some.sql": "Children that stay, and their parents.";
        READ = "foreground/read.sql": "Children of a parent.";
        WRITE = "foreground/write.sql": "Changes one child.";
        VERIFY_BUILDS = "foreground/verify_builds.sql": "Orphans, others and their digest, and how often they were written.";
    }
}

/// Very many definitions.
pub mod scale {
    statements! {
        CREATE_CHILDREN = "scale/create_children.sql": "A procedure that makes tables.";
        CALL_CREATE = "scale/call_create.sql": "Calls it: tables, parents.";
        COUNT_CHILDREN = "scale/count_children.sql": "A function that looks through them.";
        CALL_COUNT = "scale/call_count.sql": "Calls it.";
    }
}
