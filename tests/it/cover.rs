//! C3, C5: parts of a parent's tree that are new, not ours, or without their triggers.

use std::time::Duration;

use anyhow::Result;
use lfk_core::{Engine, OnDelete};
use lfk_tests::scenario::{active, drain, loose};
use lfk_tests::{Pair, TestDb, eventually};

use crate::capture_support::{cover, database, forget, hang_a_definition_on, in_both, lines, logged, role, rows, run};

const EVENTS: &str = "
    CREATE TABLE events (id bigint PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE events_0 PARTITION OF events FOR VALUES FROM (0) TO (100);
    CREATE TABLE events_100 PARTITION OF events FOR VALUES FROM (100) TO (200);
    INSERT INTO events VALUES (1), (2), (101), (102)";

async fn events() -> Result<TestDb> {
    database(EVENTS, &[("events", "{id}")]).await
}

#[tokio::test]
async fn c03_a_new_partition_gets_its_triggers() -> Result<()> {
    let db = events().await?;
    db.execute(
        "CREATE TABLE events_200 PARTITION OF events FOR VALUES FROM (200) TO (300); INSERT INTO events VALUES (201)",
    )
    .await?;
    assert_eq!(cover(&db).await?, ["public.events_200 created d, u, t"]);
    assert!(cover(&db).await?.is_empty());
    db.execute("DELETE FROM events_200").await?;
    assert_eq!(logged(&db).await?, ["events d 201"]);
    Ok(())
}

#[tokio::test]
async fn c03_an_attached_tree_gets_its_triggers_at_every_level() -> Result<()> {
    let db = events().await?;
    db.execute(
        "CREATE TABLE later (id bigint PRIMARY KEY) PARTITION BY RANGE (id);
         CREATE TABLE later_200 PARTITION OF later FOR VALUES FROM (200) TO (300);
         INSERT INTO later VALUES (201), (202);
         ALTER TABLE events ATTACH PARTITION later FOR VALUES FROM (200) TO (400)",
    )
    .await?;
    assert_eq!(cover(&db).await?, ["public.later created d, u, t", "public.later_200 created d, u, t"]);
    db.execute("DELETE FROM later WHERE id = 201; DELETE FROM later_200 WHERE id = 202").await?;
    assert_eq!(logged(&db).await?, ["events d 201", "events d 202"]);
    Ok(())
}

#[tokio::test]
async fn c03_a_new_inheritance_child_gets_its_triggers() -> Result<()> {
    let db = database("CREATE TABLE vehicles (id int PRIMARY KEY)", &[("vehicles", "{id}")]).await?;
    db.execute("CREATE TABLE cars () INHERITS (vehicles); INSERT INTO cars VALUES (1)").await?;
    assert_eq!(cover(&db).await?, ["public.cars created d, u, t"]);
    db.execute("DELETE FROM cars").await?;
    assert_eq!(logged(&db).await?, ["vehicles d 1"]);
    Ok(())
}

#[tokio::test]
async fn c03_a_new_partition_is_no_gap() -> Result<()> {
    let db = events().await?;
    hang_a_definition_on(&db, "events").await?;
    db.execute("CREATE TABLE events_200 PARTITION OF events FOR VALUES FROM (200) TO (300)").await?;
    cover(&db).await?;
    assert!(logged(&db).await?.is_empty());
    Ok(())
}

/// A pair whose parent is partitioned, with an active definition.
async fn pair() -> Result<(Pair, Engine)> {
    let pair = Pair::new().await?;
    in_both(
        &pair,
        // An owner who lets whoever installs cover every table to come.
        &format!("{EVENTS}; ALTER DEFAULT PRIVILEGES GRANT TRIGGER ON TABLES TO PUBLIC"),
        "CREATE TABLE notes (id int PRIMARY KEY, event_id bigint); CREATE INDEX ON notes (event_id);
         INSERT INTO notes VALUES (1, 1), (101, 101), (201, 201), (202, 202)",
    )
    .await?;
    let engine = active(&pair, [loose("events(id)", "notes(event_id)", OnDelete::Delete)?]).await?;
    Ok((pair, engine))
}

const NEW_PARTITION: &str = "
    CREATE TABLE events_200 (id bigint PRIMARY KEY); INSERT INTO events_200 VALUES (201), (202);
    ALTER TABLE events ATTACH PARTITION events_200 FOR VALUES FROM (200) TO (300)";

#[tokio::test]
async fn c03_children_of_parents_in_a_new_partition_are_cleaned() -> Result<()> {
    let (pair, engine) = pair().await?;
    pair.main.execute(NEW_PARTITION).await?;
    assert_eq!(cover(&pair.main).await?, ["public.events_200 created d, u, t"]);
    pair.main.execute("DELETE FROM events_200 WHERE id = 201; DELETE FROM events_0 WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(rows(&pair.ci, "notes").await?, ["101|101", "202|202"]);
    Ok(())
}

#[tokio::test]
async fn c03_a_running_engine_covers_new_partitions_by_itself() -> Result<()> {
    let (pair, engine) = pair().await?;
    pair.main.execute(NEW_PARTITION).await?;
    let running = engine.start();
    let triggers = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'events_200'::regclass AND tgname LIKE 'lfk%'";
    eventually("the new partition is covered", Duration::from_secs(20), async || {
        Ok(pair.main.scalar::<i64>(triggers).await? == 3)
    })
    .await?;
    pair.main.execute("DELETE FROM events_200 WHERE id = 202").await?;
    eventually("the child is cleaned", Duration::from_secs(20), async || {
        Ok(rows(&pair.ci, "notes").await? == ["1|1", "101|101", "201|201"])
    })
    .await?;
    running.shutdown().await?;
    Ok(())
}

/// A tree of the installing role, with a partition that another role owns, in a schema of that role's own. The functions of
/// schema lfk belong to the installer, who is no superuser.
async fn foreign_owned() -> Result<(TestDb, String)> {
    let db = database("", &[]).await?;
    let (installer, stranger) = (role(&db, "owner").await?, role(&db, "other").await?);
    db.execute(&format!(
        "CREATE SCHEMA app AUTHORIZATION {installer}; CREATE SCHEMA apart AUTHORIZATION {stranger};
         SET LOCAL search_path = app; {EVENTS};
         CREATE TABLE apart.events_200 PARTITION OF events FOR VALUES FROM (200) TO (300);
         ALTER TABLE events OWNER TO {installer}; ALTER TABLE events_0 OWNER TO {installer};
         ALTER TABLE events_100 OWNER TO {installer}; ALTER TABLE apart.events_200 OWNER TO {stranger};
         INSERT INTO events VALUES (201), (202);
         ALTER SCHEMA lfk OWNER TO {installer};
         DO $$ DECLARE o record; BEGIN
           FOR o IN SELECT oid::regprocedure AS f FROM pg_proc WHERE pronamespace = 'lfk'::regnamespace LOOP
             EXECUTE format('ALTER FUNCTION %s OWNER TO {installer}', o.f);
           END LOOP;
           FOR o IN SELECT oid::regclass AS t FROM pg_class WHERE relnamespace = 'lfk'::regnamespace AND relkind IN ('r', 'p') LOOP
             EXECUTE format('ALTER TABLE %s OWNER TO {installer}', o.t);
           END LOOP;
         END $$"
    ))
    .await?;
    db.execute(&format!("BEGIN; SET LOCAL ROLE {installer}; SELECT lfk.track('app.events', '{{id}}'); COMMIT")).await?;
    Ok((db, installer))
}

#[tokio::test]
async fn c03_a_partition_without_rights_is_named_with_the_grants_that_cover_it() -> Result<()> {
    let (db, installer) = foreign_owned().await?;
    let enter = format!("GRANT USAGE ON SCHEMA apart TO {installer}");
    let create = format!("GRANT TRIGGER ON TABLE apart.events_200 TO {installer}");

    let said = cover(&db).await?;
    assert!(said.contains(&"app.events_0 created d, u, t".to_owned()), "{said:?}");
    assert!(said.contains(&format!("apart.events_200 not_allowed {enter}; {create}")), "{said:?}");

    db.execute(&enter).await?;
    assert_eq!(cover(&db).await?, [format!("apart.events_200 not_allowed {create}")]);
    db.execute(&create).await?;
    assert_eq!(cover(&db).await?, ["apart.events_200 created d, u, t"]);
    db.execute("DELETE FROM apart.events_200 WHERE id = 201").await?;
    assert_eq!(logged(&db).await?, ["app.events d 201"]);
    Ok(())
}

#[tokio::test]
async fn c03_deletes_aimed_above_a_partition_without_rights_are_logged() -> Result<()> {
    let (db, _) = foreign_owned().await?;
    cover(&db).await?;
    db.execute("DELETE FROM app.events WHERE id IN (1, 202)").await?;
    assert_eq!(logged(&db).await?, ["app.events d 1", "app.events d 202"]);
    Ok(())
}

#[tokio::test]
async fn c05_a_lasting_gap_is_swept_once_an_hour_and_once_more_at_its_end() -> Result<()> {
    let (db, installer) = foreign_owned().await?;
    hang_a_definition_on(&db, "app.events").await?;
    cover(&db).await?;
    cover(&db).await?;
    assert_eq!(logged(&db).await?, ["app.events s"], "once, however often it is looked at");
    db.execute("UPDATE lfk.tracked SET marked_at = marked_at - interval '61 min'").await?;
    cover(&db).await?;
    assert_eq!(logged(&db).await?, ["app.events s", "app.events s"]);
    forget(&db).await?;
    db.execute(&format!(
        "GRANT USAGE ON SCHEMA apart TO {installer}; GRANT TRIGGER ON TABLE apart.events_200 TO {installer}"
    ))
    .await?;
    cover(&db).await?;
    cover(&db).await?;
    assert_eq!(logged(&db).await?, ["app.events s"]);
    Ok(())
}

#[tokio::test]
async fn c05_a_disabled_trigger_is_named_with_its_remedy_and_swept() -> Result<()> {
    let db = events().await?;
    hang_a_definition_on(&db, "events").await?;
    db.execute("ALTER TABLE events_0 DISABLE TRIGGER lfk_1_d; DELETE FROM events_0 WHERE id = 1").await?;
    let remedy = "ALTER TABLE public.events_0 ENABLE TRIGGER lfk_1_d";
    assert_eq!(cover(&db).await?, [format!("public.events_0 disabled {remedy}")]);
    assert_eq!(logged(&db).await?, ["events s"]);

    forget(&db).await?;
    db.execute(remedy).await?;
    assert!(cover(&db).await?.is_empty());
    assert_eq!(logged(&db).await?, ["events s"], "for what was deleted since the last look");
    db.execute("DELETE FROM events_0 WHERE id = 2").await?;
    assert_eq!(logged(&db).await?, ["events d 2", "events s"]);
    Ok(())
}

#[tokio::test]
async fn c05_a_trigger_that_fires_for_replicas_only_is_named() -> Result<()> {
    let db = events().await?;
    db.execute("ALTER TABLE events ENABLE REPLICA TRIGGER lfk_1_u").await?;
    assert_eq!(cover(&db).await?, ["public.events disabled ALTER TABLE public.events ENABLE TRIGGER lfk_1_u"]);
    Ok(())
}

#[tokio::test]
async fn c05_a_dropped_trigger_is_made_again_and_swept() -> Result<()> {
    let db = events().await?;
    hang_a_definition_on(&db, "events").await?;
    db.execute("DROP TRIGGER lfk_1_d ON events_100; DELETE FROM events_100 WHERE id = 101").await?;
    assert_eq!(cover(&db).await?, ["public.events_100 created d"]);
    assert_eq!(logged(&db).await?, ["events s"]);
    db.execute("DELETE FROM events_100 WHERE id = 102").await?;
    assert_eq!(logged(&db).await?, ["events d 102", "events s"]);
    Ok(())
}

#[tokio::test]
async fn c05_dropped_trigger_functions_are_made_again() -> Result<()> {
    let db = events().await?;
    db.execute("DROP FUNCTION lfk.lfk_1_d() CASCADE").await?;
    assert_eq!(
        cover(&db).await?,
        ["public.events created d", "public.events_0 created d", "public.events_100 created d"]
    );
    db.execute("DELETE FROM events_0 WHERE id = 2").await?;
    assert_eq!(logged(&db).await?, ["events d 2"]);
    Ok(())
}

#[tokio::test]
async fn c05_dropped_and_detached_partitions_are_said_once_and_swept() -> Result<()> {
    let db = events().await?;
    hang_a_definition_on(&db, "events").await?;
    db.execute("DROP TABLE events_0; ALTER TABLE events DETACH PARTITION events_100").await?;
    let said = [
        "public.events_0 gone it is no part of public.events any more",
        "public.events_100 detached it is no part of public.events any more",
    ];
    assert_eq!(cover(&db).await?, said);
    assert_eq!(logged(&db).await?, ["events s"]);
    assert!(cover(&db).await?.is_empty());
    assert_eq!(logged(&db).await?, ["events s"]);
    Ok(())
}

#[tokio::test]
async fn c05_a_dropped_parent_is_named() -> Result<()> {
    let db = events().await?;
    db.execute("DROP TABLE events").await?;
    let said = cover(&db).await?;
    assert!(said.len() == 1 && said[0].starts_with("public.events dropped"), "{said:?}");
    Ok(())
}

#[tokio::test]
async fn c03_a_locked_partition_is_left_for_the_next_look_and_nobody_waits() -> Result<()> {
    let db = events().await?;
    db.execute(NEW_PARTITION).await?;
    let mut app = db.connect().await?;
    run(&mut app, "BEGIN; DELETE FROM events_200 WHERE id = 201").await?;
    assert_eq!(cover(&db).await?, ["public.events_200 locked a lock was not free within 100 ms"]);
    run(&mut app, "SET LOCAL lock_timeout = '1s'; DELETE FROM events_200 WHERE id = 202; ROLLBACK").await?;
    assert_eq!(cover(&db).await?, ["public.events_200 created d, u, t"]);
    Ok(())
}

#[tokio::test]
async fn c03_covering_goes_by_as_few_relations_as_asked_for() -> Result<()> {
    let db = database(EVENTS, &[]).await?;
    db.execute("SELECT lfk.track('events', '{id}')").await?;
    let mut made = Vec::new();
    for _ in 0..3 {
        let step = lines(&db, "SELECT relation, outcome, detail FROM lfk.cover(1)").await?;
        assert_eq!(step.len(), 1, "{step:?}");
        made.extend(step);
    }
    made.sort();
    assert_eq!(
        made,
        ["public.events_0|created|d, u, t", "public.events_100|created|d, u, t", "public.events|created|d, u, t"]
    );
    assert!(cover(&db).await?.is_empty());
    Ok(())
}

/// Vehicles with cars in this database and carts in another.
async fn above_a_foreign_table() -> Result<TestDb> {
    let db = database(
        "CREATE TABLE vehicles (id int PRIMARY KEY); CREATE TABLE cars (PRIMARY KEY (id)) INHERITS (vehicles);
         INSERT INTO vehicles VALUES (1), (2); INSERT INTO cars VALUES (11), (12)",
        &[("vehicles", "{id}")],
    )
    .await?;
    hang_a_definition_on(&db, "vehicles").await?;
    db.execute(
        "CREATE FOREIGN DATA WRAPPER elsewhere; CREATE SERVER elsewhere FOREIGN DATA WRAPPER elsewhere;
         CREATE FOREIGN TABLE carts (CHECK (id >= 900)) INHERITS (vehicles) SERVER elsewhere",
    )
    .await?;
    Ok(db)
}

const OUR_TRIGGERS: &str = "SELECT tgrelid::regclass, string_agg(tgname, ' ' ORDER BY tgname) FROM pg_trigger
    WHERE tgname LIKE 'lfk%' GROUP BY tgrelid ORDER BY tgrelid::regclass::text";

#[tokio::test]
async fn c05_above_a_foreign_table_our_triggers_make_way_for_the_app() -> Result<()> {
    let db = above_a_foreign_table().await?;
    let said = cover(&db).await?;
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("public.carts foreign_table deletes in a foreign table cannot be logged"), "{said:?}");
    assert!(said[1].starts_with("public.vehicles foreign_table there is a foreign table below it"), "{said:?}");
    assert_eq!(lines(&db, OUR_TRIGGERS).await?, ["cars|lfk_1_d lfk_1_t lfk_1_u", "vehicles|lfk_1_t"]);
    assert_eq!(logged(&db).await?, ["vehicles s"]);
    db.execute("DELETE FROM ONLY vehicles WHERE id = 1; DELETE FROM cars WHERE id = 11").await?;
    assert_eq!(logged(&db).await?, ["vehicles d 11", "vehicles s"]);
    Ok(())
}

#[tokio::test]
async fn c05_without_the_foreign_table_the_triggers_come_back() -> Result<()> {
    let db = above_a_foreign_table().await?;
    cover(&db).await?;
    db.execute("DROP FOREIGN TABLE carts").await?;
    forget(&db).await?;
    let said = cover(&db).await?;
    assert!(said.contains(&"public.vehicles created d, u".to_owned()), "{said:?}");
    assert_eq!(logged(&db).await?, ["vehicles s"]);
    db.execute("DELETE FROM vehicles WHERE id IN (2, 12)").await?;
    assert_eq!(logged(&db).await?, ["vehicles d 12", "vehicles d 2", "vehicles s"]);
    Ok(())
}

#[tokio::test]
async fn c05_what_the_server_refuses_is_said_and_stops_nothing_else() -> Result<()> {
    let db = events().await?;
    hang_a_definition_on(&db, "events").await?;
    db.execute(NEW_PARTITION).await?;
    // Some teams let nobody but their migration tool change a schema.
    db.execute(
        "CREATE FUNCTION only_migrations() RETURNS event_trigger LANGUAGE plpgsql AS
           $$ BEGIN RAISE EXCEPTION 'use a migration'; END $$;
         CREATE EVENT TRIGGER only_migrations ON ddl_command_start WHEN TAG IN ('CREATE TRIGGER')
           EXECUTE FUNCTION only_migrations()",
    )
    .await?;
    assert_eq!(cover(&db).await?, ["public.events_200 failed use a migration"]);
    db.execute("DELETE FROM events_0 WHERE id = 1").await?;
    assert_eq!(logged(&db).await?, ["events d 1", "events s"], "the gap is swept, the rest is logged");
    db.execute("DROP EVENT TRIGGER only_migrations").await?;
    assert_eq!(cover(&db).await?, ["public.events_200 created d, u, t"]);
    Ok(())
}
