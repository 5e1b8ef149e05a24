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
