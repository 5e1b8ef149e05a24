//! The judges over hand-made catalogs.

use lfk_sql::{Ident, TableName};

use super::catalog::{Column, End, ForeignKey, Index, Member, Server};
use super::judge_child::{Unreadable, judge_child};
use super::*;
use crate::report::Finding;

fn ident(name: &str) -> Ident {
    Ident::new(name).unwrap()
}

fn table(name: &str) -> TableName {
    TableName::new(ident("public"), ident(name))
}

fn server() -> Server {
    Server {
        version: 150_020,
        role: "app".to_owned(),
        database: "app".to_owned(),
        replication_role: "origin".to_owned(),
        may_create_schema: true,
        may_use_schema: Some(true),
        may_use_lfk: true,
        ..Server::default()
    }
}

fn member(id: i64, name: &str, kind: &str) -> Member {
    Member {
        id,
        name: table(name),
        kind: kind.to_owned(),
        persistence: "p".to_owned(),
        has_children: false,
        has_parents: false,
        bytes: 8192,
        rows: 10.0,
        row_security: false,
        may_use_schema: true,
        may_trigger: true,
        may_delete: true,
        may_select_ctid: true,
        covered: false,
        delete_rules: Vec::new(),
        update_rules: Vec::new(),
        delete_triggers: Vec::new(),
        update_triggers: Vec::new(),
        partition_columns: Vec::new(),
    }
}

fn column(table_id: i64, name: &str, type_name: &str) -> Column {
    let text = type_name == "text" || type_name.starts_with("character varying");
    Column {
        table_id,
        name: name.to_owned(),
        type_name: type_name.to_owned(),
        not_null: false,
        generated: false,
        always_identity: false,
        deterministic: text.then_some(true),
        collation: "d".to_owned(),
        may_select: true,
        may_update: true,
    }
}

fn index(table_id: i64, columns: &[&str]) -> Index {
    Index {
        table_id,
        name: table(&format!("{}_idx", columns.join("_"))),
        method: "btree".to_owned(),
        is_unique: false,
        valid: true,
        predicate: None,
        columns: columns.iter().map(|c| Some((*c).to_owned())).collect(),
        equals: columns.iter().map(|_| "int2 int4 int8 uuid text".to_owned()).collect(),
        same_collation: columns.iter().map(|_| Some(true)).collect(),
    }
}

/// A customer with an integer key.
fn parent() -> End {
    let key = Index { is_unique: true, ..index(1, &["customer_id"]) };
    let columns = vec![column(1, "customer_id", "integer")];
    End { server: server(), members: vec![member(1, "customer", "r")], columns, indexes: vec![key], ..End::default() }
}

/// A rental that refers to a customer by a smallint, which an index leads with.
fn child() -> End {
    let columns = vec![column(2, "customer_id", "smallint"), column(2, "kind", "text"), column(2, "status", "integer")];
    let indexes = vec![index(2, &["customer_id"])];
    End { server: server(), members: vec![member(2, "rental", "r")], columns, indexes, ..End::default() }
}

fn definition(on_delete: OnDelete) -> LooseForeignKey {
    LooseForeignKey::new("shop:public.customer(customer_id)", "billing:public.rental(customer_id)", on_delete).unwrap()
}

fn judge(definition: &LooseForeignKey, parent: &End, child: &End) -> Vec<Finding> {
    judged(definition, parent, child, &[]).findings
}

/// The one finding, which refuses.
#[track_caller]
fn refusal(parent: &End, child: &End, on_delete: OnDelete) -> Finding {
    let mut findings = judge(&definition(on_delete), parent, child);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].refuses, "{findings:?}");
    assert!(!findings[0].remedy.is_empty(), "no remedy: {findings:?}");
    findings.remove(0)
}

#[test]
fn a_sound_definition_has_no_findings() {
    assert_eq!(judge(&definition(OnDelete::Delete), &parent(), &child()), []);
    assert_eq!(judge(&definition(OnDelete::SetNull), &parent(), &child()), []);
}

#[test]
fn missing_tables_and_columns_are_named_with_the_likely_one() {
    let none = End { members: Vec::new(), other_tables: vec![table("rental"), table("payment")], ..child() };
    let mut typo = definition(OnDelete::Delete);
    typo.child.table = table("rentals");
    let found = judge_child(&typo, &parent(), &none, &[]);
    assert_eq!((found[0].code, found.len()), ("table_missing", 1));
    assert!(found[0].message.contains("billing has no table public.rentals"), "{found:?}");
    assert_eq!(found[0].remedy, ["did you mean public.rental?"]);

    let bare = End { columns: Vec::new(), other_columns: vec!["customerid".to_owned()], ..parent() };
    let found = refusal(&bare, &child(), OnDelete::Delete);
    assert!(found.message.contains("public.customer.customer_id"), "{found:?}");
    assert_eq!(found.remedy, ["did you mean public.customer.customerid?"]);
}

#[test]
fn only_tables_of_this_database_can_be_ends() {
    for (kind, word) in [("v", "view"), ("f", "foreign table"), ("m", "materialized view")] {
        let found =
            refusal(&End { members: vec![member(1, "customer", kind)], ..parent() }, &child(), OnDelete::Delete);
        assert!(found.code == "not_a_table" && found.message.contains(word), "{found:?}");
    }
    let mut temporary = child();
    temporary.members[0].persistence = "t".to_owned();
    assert_eq!(refusal(&parent(), &temporary, OnDelete::Delete).code, "temporary_table");
    let mut tree = parent();
    tree.members.push(member(9, "far_away", "f"));
    let found = refusal(&tree, &child(), OnDelete::Delete);
    assert!(found.code == "foreign_table" && found.message.contains("public.far_away"), "{found:?}");
    let standby = End { server: Server { in_recovery: true, ..server() }, ..End::default() };
    assert_eq!(refusal(&standby, &child(), OnDelete::Delete).code, "in_recovery");
}

#[test]
fn a_parent_that_is_a_partition_is_refused_naming_the_whole() {
    let mut part = parent();
    part.members[0].has_parents = true;
    part.above = vec![Member { has_parents: true, ..member(7, "middle", "p") }, member(8, "whole", "p")];
    let found = refusal(&part, &child(), OnDelete::Delete);
    assert_eq!(found.remedy, ["name public.whole as the parent"]);
}

#[test]
fn the_parent_key_must_be_a_whole_plain_unique_key() {
    let with = |key: Index| End { indexes: vec![key], ..parent() };
    let unique = || Index { is_unique: true, ..index(1, &["customer_id"]) };
    for key in [
        index(1, &["customer_id"]),
        Index { predicate: Some("(status = 1)".to_owned()), ..unique() },
        Index { valid: false, ..unique() },
        Index { columns: vec![None], ..unique() },
        Index { is_unique: true, ..index(1, &["customer_id", "store_id"]) },
    ] {
        assert_eq!(refusal(&with(key), &child(), OnDelete::Delete).code, "key_not_unique");
    }
    let found = refusal(&with(Index { is_unique: true, ..index(1, &["a", "b"]) }), &child(), OnDelete::Delete);
    assert_eq!(found.remedy, ["name the columns of a unique key: (a, b)"]);
}

#[test]
fn types_must_be_keys_and_comparable() {
    let typed = |p: &str, c: &str| {
        let parent = End { columns: vec![column(1, "customer_id", p)], ..parent() };
        let child = End { columns: vec![column(2, "customer_id", c)], ..child() };
        judge(&definition(OnDelete::Delete), &parent, &child)
    };
    for (p, c) in [("bigint", "smallint"), ("uuid", "uuid"), ("text", "character varying(9)")] {
        assert_eq!(typed(p, c), [], "{p} {c}");
    }
    let found = typed("integer", "text");
    assert!(found[0].code == "types_differ" && found[0].message.contains("(integer)"), "{found:?}");
    assert!(found[0].message.contains("public.rental.customer_id (text)"), "{found:?}");
    assert_eq!(typed("numeric", "numeric")[0].code, "key_type");
    assert_eq!(typed("uuid", "text")[0].code, "types_differ");
}

#[test]
fn text_keys_must_agree_on_what_is_equal() {
    let texts = |p: Option<&str>, c: Option<&str>| {
        let make = |id, collation: Option<&str>| Column {
            deterministic: Some(collation.is_none()),
            collation: collation.unwrap_or("d").to_owned(),
            ..column(id, "customer_id", "text")
        };
        let parent = End { columns: vec![make(1, p)], ..parent() };
        let child = End { columns: vec![make(2, c)], ..child() };
        judge(&definition(OnDelete::Delete), &parent, &child)
    };
    assert_eq!(texts(None, None), []);
    assert_eq!(texts(Some("i und"), Some("i und")), []);
    for (p, c) in [(None, Some("i und")), (Some("i und"), None), (Some("i und"), Some("i de"))] {
        let found = texts(p, c);
        assert!(found[0].refuses && found[0].code == "collations_differ", "{found:?}");
    }
}

#[test]
fn null_is_refused_where_any_leaf_forbids_it() {
    let mut strict = child();
    strict.columns[0].not_null = true;
    let found = refusal(&parent(), &strict, OnDelete::SetNull);
    assert!(found.message.contains("public.rental.customer_id is NOT NULL"), "{found:?}");
    assert_eq!(judge(&definition(OnDelete::Delete), &parent(), &strict), []);

    let mut tree = child();
    tree.members.push(member(3, "rental_old", "r"));
    tree.columns.push(Column { not_null: true, ..column(3, "customer_id", "smallint") });
    tree.indexes.push(index(3, &["customer_id"]));
    let found = refusal(&parent(), &tree, OnDelete::SetNull);
    assert!(found.message.starts_with("public.rental_old.customer_id is NOT NULL"), "{found:?}");

    let set = OnDelete::Set(vec![(ident("status"), None)]);
    let mut strict = child();
    strict.columns[2].not_null = true;
    assert_eq!(refusal(&parent(), &strict, set).code, "not_null");
}

#[test]
fn columns_that_cannot_be_written_are_refused() {
    let set = || OnDelete::Set(vec![(ident("status"), Some("4".to_owned()))]);
    let mut generated = child();
    generated.columns[2].generated = true;
    assert_eq!(refusal(&parent(), &generated, set()).code, "generated_column");
    let mut split = child();
    split.members[0].partition_columns = vec!["status".to_owned()];
    assert_eq!(refusal(&parent(), &split, set()).code, "partition_key");
    let mut below = child();
    below.above = vec![Member { partition_columns: vec!["status".to_owned()], ..member(5, "whole", "p") }];
    assert!(refusal(&parent(), &below, set()).message.contains("public.whole"));
    let long = OnDelete::Set(vec![(ident("status"), Some("toolong".to_owned()))]);
    let mut short = child();
    short.columns[2].type_name = "character varying(3)".to_owned();
    assert_eq!(refusal(&parent(), &short, long).code, "value_unreadable");
    let both = || (ident("status"), Some("4".to_owned()));
    assert_eq!(refusal(&parent(), &child(), OnDelete::Set(vec![both(), both()])).code, "nothing_to_set");
    assert_eq!(refusal(&parent(), &child(), OnDelete::Set(Vec::new())).code, "nothing_to_set");
    let bad = [Unreadable { column: ident("status"), why: "invalid input syntax".to_owned() }];
    let found = judge_child(&definition(set()), &parent(), &child(), &bad);
    assert!(found[0].refuses && found[0].message.contains("public.rental.status"), "{found:?}");
}

#[test]
fn rules_on_the_event_are_refused_and_triggers_noted() {
    let mut ruled = child();
    ruled.members[0].delete_rules = vec!["keep".to_owned()];
    let found = refusal(&parent(), &ruled, OnDelete::Delete);
    assert_eq!(found.remedy[0], "DROP RULE keep ON public.rental;");
    assert_eq!(judge(&definition(OnDelete::SetNull), &parent(), &ruled), []);
    let mut triggered = child();
    triggered.members[0].delete_triggers = vec!["swallow".to_owned()];
    let found = judge(&definition(OnDelete::Delete), &parent(), &triggered);
    assert!(found.len() == 1 && !found[0].refuses && found[0].code == "before_trigger", "{found:?}");
}

#[test]
fn missing_privileges_come_with_their_grants() {
    let mut poor = child();
    poor.members[0].may_delete = false;
    poor.members[0].may_select_ctid = false;
    poor.columns[0].may_select = false;
    poor.columns[0].may_update = false;
    let found = refusal(&parent(), &poor, OnDelete::Delete);
    assert_eq!(
        found.remedy,
        [
            "GRANT DELETE, SELECT (ctid, customer_id), UPDATE (customer_id) ON public.rental TO app; -- in database billing"
        ]
    );
    let mut parent = parent();
    parent.members[0].may_trigger = false;
    parent.columns[0].may_select = false;
    let found = judge(&definition(OnDelete::Delete), &parent, &child());
    let remedies: Vec<&str> = found.iter().flat_map(|f| f.remedy.iter().map(String::as_str)).collect();
    assert_eq!(
        remedies,
        [
            "GRANT TRIGGER ON public.customer TO app; -- in database shop",
            "GRANT SELECT (customer_id) ON public.customer TO app; -- in database shop",
        ]
    );
    // A worker's role needs no right to create what the installer has made.
    parent.columns[0].may_select = true;
    parent.members[0].covered = true;
    parent.server.may_create_in_lfk = Some(false);
    assert_eq!(judge(&definition(OnDelete::Delete), &parent, &child()), []);
    parent.server.may_create_in_lfk = None;
    parent.server.may_create_schema = false;
    parent.members[0] = Member { covered: false, may_trigger: true, ..parent.members[0].clone() };
    let found = refusal(&parent, &child(), OnDelete::Delete);
    assert_eq!(found.remedy, ["GRANT CREATE ON DATABASE app TO app; -- in database shop"]);
}

#[test]
fn schema_lfk_must_be_possible_at_both_ends() {
    let mut child = child();
    child.server.may_create_schema = false;
    let found = refusal(&parent(), &child, OnDelete::Delete);
    assert_eq!(found.remedy, ["GRANT CREATE ON DATABASE app TO app; -- in database billing"]);
    child.server.may_create_in_lfk = Some(false);
    assert_eq!(judge(&definition(OnDelete::Delete), &parent(), &child), []);
    let mut parent = parent();
    parent.server.may_create_in_lfk = Some(false);
    assert!(refusal(&parent, &child, OnDelete::Delete).message.contains("database shop"));
}

#[test]
fn row_security_that_binds_us_is_refused_at_either_end() {
    let mut hidden = parent();
    hidden.members[0].row_security = true;
    assert_eq!(refusal(&hidden, &child(), OnDelete::Delete).code, "row_security");
    let mut hidden = child();
    hidden.members[0].row_security = true;
    assert!(refusal(&parent(), &hidden, OnDelete::Delete).message.contains("public.rental"));
}

#[test]
fn real_foreign_keys_are_noted() {
    let key = |leaves, arrives, on_delete: &str| ForeignKey {
        name: "fk".to_owned(),
        leaves,
        arrives,
        from: table(if leaves { "rental" } else { "payment" }),
        from_columns: vec![if leaves { "customer_id" } else { "rental_id" }.to_owned()],
        to: table(if leaves { "customer" } else { "rental" }),
        on_delete: on_delete.to_owned(),
    };
    let child =
        End { foreign_keys: vec![key(true, false, "c"), key(false, true, "c"), key(false, true, "a")], ..child() };
    let codes = |on_delete| {
        judge(&definition(on_delete), &parent(), &child).iter().map(|f| (f.code, f.refuses)).collect::<Vec<_>>()
    };
    let all = [("real_foreign_key", false), ("nested_cascade", false), ("forbidding_reference", false)];
    assert_eq!(codes(OnDelete::Delete), all);
    assert_eq!(codes(OnDelete::SetNull), [("real_foreign_key", false)]);
}

mod indexes;
