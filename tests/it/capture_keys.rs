//! C7: keys of every kind, from the log to the children.

use anyhow::Result;
use lfk_core::{Engine, OnDelete};
use lfk_tests::Pair;
use lfk_tests::scenario::{active, drain, loose};

use crate::capture_support::{database, in_both, lines, logged, rows};

/// Two parents, of which one is deleted and the other stays; children of both and one of none. `parent` and `child` are the
/// types of the two columns, `kept` and `gone` SQL literals. `logged_as` is how the deleted key stands in the log.
async fn only_children_of_the_gone_go(
    parent: &str,
    child: &str,
    kept: &str,
    gone: &str,
    logged_as: &str,
) -> Result<()> {
    let collation = "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)";
    let pair = Pair::new().await?;
    in_both(
        &pair,
        &format!(
            "{collation}; CREATE TABLE trees (id {parent} PRIMARY KEY); INSERT INTO trees VALUES ({kept}), ({gone})"
        ),
        &format!(
            "{collation}; CREATE TABLE apples (id int PRIMARY KEY, tree_id {child}); CREATE INDEX ON apples (tree_id);
             INSERT INTO apples VALUES (1, {kept}), (2, {gone}), (3, {gone}), (4, NULL), (5, {kept})"
        ),
    )
    .await?;
    let engine = active(&pair, [loose("trees(id)", "apples(tree_id)", OnDelete::Delete)?]).await?;
    pair.main.execute(&format!("DELETE FROM trees WHERE id = {gone}")).await?;
    assert_eq!(logged(&pair.main).await?, [format!("trees d {logged_as}")]);
    drain(&engine).await?;
    assert_eq!(lines(&pair.ci, "SELECT id FROM apples ORDER BY 1").await?, ["1", "4", "5"]);
    let alone = format!("SELECT array_agg(id) = ARRAY[({kept})::{parent}] FROM trees");
    assert!(pair.main.scalar::<bool>(&alone).await?);
    Ok(())
}

#[tokio::test]
async fn c07_smallint_keys() -> Result<()> {
    only_children_of_the_gone_go("smallint", "bigint", "-32768", "32767", "32767").await
}

#[tokio::test]
async fn c07_integer_keys() -> Result<()> {
    only_children_of_the_gone_go("integer", "integer", "0", "-2147483648", "-2147483648").await
}

#[tokio::test]
async fn c07_bigint_keys() -> Result<()> {
    only_children_of_the_gone_go("bigint", "bigint", "9223372036854775807", "9007199254740993", "9007199254740993")
        .await
}

#[tokio::test]
async fn c07_uuid_keys() -> Result<()> {
    let (kept, gone) = ("00000000-0000-0000-0000-000000000000", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
    only_children_of_the_gone_go("uuid", "uuid", &format!("'{kept}'"), &format!("'{gone}'"), gone).await
}

#[tokio::test]
async fn c07_text_keys_with_everything_in_them() -> Result<()> {
    let odd = ["", "NULL", "{a,b}", "\"", "a\\b", "Grüße, 木", " ends with a space ", "a\nb", "it''s"];
    let keys: Vec<String> = odd.iter().map(|key| format!("('{key}')")).collect();
    let keys = keys.join(", ");
    let pair = Pair::new().await?;
    in_both(
        &pair,
        &format!("CREATE TABLE trees (id text PRIMARY KEY); INSERT INTO trees VALUES ('kept'), {keys}"),
        &format!(
            "CREATE TABLE apples (id int GENERATED ALWAYS AS IDENTITY, tree_id text); CREATE INDEX ON apples (tree_id);
             INSERT INTO apples (tree_id) VALUES ('kept'), {keys}, (NULL), ('null'), ('{{a}}'), (' '), ('a\\\\b')"
        ),
    )
    .await?;
    let engine = active(&pair, [loose("trees(id)", "apples(tree_id)", OnDelete::Delete)?]).await?;
    pair.main.execute("DELETE FROM trees WHERE id <> 'kept'").await?;
    let mut expected: Vec<String> = odd.iter().map(|key| format!("trees d {}", key.replace("''", "'"))).collect();
    expected.sort();
    assert_eq!(logged(&pair.main).await?, expected);
    drain(&engine).await?;
    let left = lines(&pair.ci, "SELECT tree_id FROM apples ORDER BY id").await?;
    assert_eq!(left, ["kept", "NULL", "null", "{a}", " ", "a\\\\b"]);
    Ok(())
}

#[tokio::test]
async fn c07_varchar_and_text_keys_mix() -> Result<()> {
    only_children_of_the_gone_go("varchar(20)", "text", "'a'", "'a '", "a ").await?;
    only_children_of_the_gone_go("text", "varchar", "'a'", "'A'", "A").await
}

#[tokio::test]
async fn c07_text_keys_of_different_deterministic_collations() -> Result<()> {
    let german = "text COLLATE \"de-x-icu\"";
    only_children_of_the_gone_go(german, "text COLLATE \"C\"", "'Strasse'", "'Straße'", "Straße").await?;
    only_children_of_the_gone_go("text COLLATE \"C\"", german, "'a'", "'A'", "A").await
}

#[tokio::test]
async fn c07_text_keys_of_a_collation_in_which_different_texts_are_equal() -> Result<()> {
    let any_case = "text COLLATE any_case";
    only_children_of_the_gone_go(any_case, any_case, "'plum'", "'Apple'", "Apple").await
}

/// Parents and children whose keys are equal in any case.
async fn any_case() -> Result<(Pair, Engine)> {
    let collation = "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)";
    let pair = Pair::new().await?;
    in_both(
        &pair,
        &format!("{collation}; CREATE TABLE trees (id text COLLATE any_case PRIMARY KEY); INSERT INTO trees VALUES ('Apple'), ('Pear')"),
        &format!(
            "{collation}; CREATE TABLE apples (id int PRIMARY KEY, tree_id text COLLATE any_case); CREATE INDEX ON apples (tree_id);
             INSERT INTO apples VALUES (1, 'APPLE'), (2, 'apple'), (3, 'PEAR')"
        ),
    )
    .await?;
    let engine = active(&pair, [loose("trees(id)", "apples(tree_id)", OnDelete::Delete)?]).await?;
    Ok((pair, engine))
}

#[tokio::test]
async fn c07_children_that_are_equal_only_by_their_collation_are_cleaned() -> Result<()> {
    let (pair, engine) = any_case().await?;
    pair.main.execute("DELETE FROM trees WHERE id = 'APPLE'").await?;
    drain(&engine).await?;
    assert_eq!(rows(&pair.ci, "apples").await?, ["3|PEAR"]);
    Ok(())
}

#[tokio::test]
async fn c07_a_parent_that_is_equal_only_by_its_collation_keeps_the_children() -> Result<()> {
    let (pair, engine) = any_case().await?;
    pair.main.execute("UPDATE trees SET id = 'aPPLE' WHERE id = 'Apple'").await?;
    pair.main.execute("DELETE FROM trees WHERE id = 'Pear'; INSERT INTO trees VALUES ('pear')").await?;
    drain(&engine).await?;
    assert_eq!(rows(&pair.ci, "apples").await?, ["1|APPLE", "2|apple", "3|PEAR"]);
    Ok(())
}

#[tokio::test]
async fn c07_a_smallint_child_is_not_hurt_by_keys_it_cannot_hold() -> Result<()> {
    let pair = Pair::new().await?;
    in_both(
        &pair,
        "CREATE TABLE trees (id bigint PRIMARY KEY); INSERT INTO trees VALUES (1), (2), (70000), (65538)",
        "CREATE TABLE apples (id int PRIMARY KEY, tree_id smallint); CREATE INDEX ON apples (tree_id);
         INSERT INTO apples VALUES (1, 1), (2, 2), (3, 4464)",
    )
    .await?;
    let engine = active(&pair, [loose("trees(id)", "apples(tree_id)", OnDelete::Delete)?]).await?;
    pair.main.execute("DELETE FROM trees WHERE id IN (1, 70000, 65538)").await?;
    drain(&engine).await?;
    assert_eq!(rows(&pair.ci, "apples").await?, ["2|2", "3|4464"], "70000 and 65538 do not wrap around");
    Ok(())
}

#[tokio::test]
async fn c07_composite_keys_of_mixed_types() -> Result<()> {
    let pair = Pair::new().await?;
    in_both(
        &pair,
        "CREATE TABLE shelves (shop uuid, number int, label text, note text, PRIMARY KEY (label, shop, number));
         INSERT INTO shelves SELECT gen_random_uuid(), 1, 'a,b', NULL;
         UPDATE shelves SET shop = 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6';
         INSERT INTO shelves SELECT shop, 2, label FROM shelves;
         INSERT INTO shelves SELECT shop, 1, 'a' FROM shelves WHERE number = 1",
        "CREATE TABLE books (id int PRIMARY KEY, shelf bigint, of_shop uuid, of_label varchar(20));
         CREATE INDEX ON books (of_shop, shelf, of_label);
         INSERT INTO books SELECT n, s, 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6', l
           FROM (VALUES (1, 1, 'a,b'), (2, 2, 'a,b'), (3, 1, 'a'), (4, 1, 'a,b'), (5, NULL, 'a,b'), (6, 1, NULL)) v(n, s, l)",
    )
    .await?;
    let definition = loose("shelves(shop, number, label)", "books(of_shop, shelf, of_label)", OnDelete::Delete)?;
    let engine = active(&pair, [definition]).await?;
    pair.main.execute("DELETE FROM shelves WHERE number = 1 AND label = 'a,b'").await?;
    assert_eq!(logged(&pair.main).await?, ["shelves d f81d4fae-7dec-11d0-a765-00a0c91e6bf6/1/a,b"]);
    drain(&engine).await?;
    let left = lines(&pair.ci, "SELECT id, shelf, of_label FROM books ORDER BY id").await?;
    assert_eq!(left, ["2|2|a,b", "3|1|a", "5|NULL|a,b", "6|1|NULL"]);
    Ok(())
}

#[tokio::test]
async fn c07_thousands_of_composite_keys_reach_their_children() -> Result<()> {
    let pair = Pair::new().await?;
    in_both(
        &pair,
        "CREATE TABLE shelves (shop int, label text, PRIMARY KEY (shop, label));
         INSERT INTO shelves SELECT n, 'l' || n FROM generate_series(1, 2501) n",
        "CREATE TABLE books (id int PRIMARY KEY, shop int, label text); CREATE INDEX ON books (shop, label);
         INSERT INTO books SELECT n, n, 'l' || n FROM generate_series(1, 2501) n;
         INSERT INTO books SELECT 10000 + n, n, 'l' || n + 1 FROM generate_series(1, 3) n",
    )
    .await?;
    let engine = active(&pair, [loose("shelves(shop, label)", "books(shop, label)", OnDelete::Delete)?]).await?;
    pair.main.execute("DELETE FROM shelves WHERE shop <> 7").await?;
    drain(&engine).await?;
    assert_eq!(rows(&pair.ci, "books").await?, ["7|7|l7", "10001|1|l2", "10002|2|l3", "10003|3|l4"]);
    Ok(())
}

#[tokio::test]
async fn c07_a_unique_key_that_is_not_the_primary_key() -> Result<()> {
    let pair = Pair::new().await?;
    in_both(
        &pair,
        "CREATE TABLE guests (id int PRIMARY KEY, badge int UNIQUE, name text);
         INSERT INTO guests VALUES (1, 10, 'Ann'), (2, 20, 'Bob'), (3, NULL, 'Cid'), (4, NULL, 'Dan')",
        "CREATE TABLE visits (id int PRIMARY KEY, badge int); CREATE INDEX ON visits (badge);
         INSERT INTO visits VALUES (1, 10), (2, 20), (3, NULL), (4, 1)",
    )
    .await?;
    let engine = active(&pair, [loose("guests(badge)", "visits(badge)", OnDelete::Delete)?]).await?;
    pair.main.execute("DELETE FROM guests WHERE id IN (1, 3)").await?;
    assert_eq!(logged(&pair.main).await?, ["guests d 10"], "a NULL is nobody's key");
    drain(&engine).await?;
    assert_eq!(rows(&pair.ci, "visits").await?, ["2|20", "3|NULL", "4|1"]);
    Ok(())
}

#[tokio::test]
async fn c07_two_keys_of_one_table_are_logged_apart() -> Result<()> {
    let db = database(
        "CREATE TABLE guests (id int PRIMARY KEY, badge uuid UNIQUE);
         INSERT INTO guests VALUES (1, 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'), (2, NULL)",
        &[("guests", "{id}"), ("guests", "{badge}")],
    )
    .await?;
    db.execute("DELETE FROM guests").await?;
    let expected = ["guests d 1", "guests d 2", "guests d f81d4fae-7dec-11d0-a765-00a0c91e6bf6"];
    assert_eq!(logged(&db).await?, expected);
    Ok(())
}

#[tokio::test]
async fn c07_a_composite_key_with_a_null_in_it_is_not_logged() -> Result<()> {
    let db = database(
        "CREATE TABLE seats (hall int, number int, UNIQUE (hall, number));
         INSERT INTO seats VALUES (1, 1), (1, NULL), (NULL, 1), (NULL, NULL)",
        &[("seats", "{hall,number}")],
    )
    .await?;
    db.execute("DELETE FROM seats").await?;
    assert_eq!(logged(&db).await?, ["seats d 1/1"]);
    Ok(())
}

#[tokio::test]
async fn c07_keys_of_other_types_are_not_tracked() -> Result<()> {
    let db = database("CREATE TABLE odd (a numeric, b date, c char(3), d text[], e int)", &[]).await?;
    for column in ["a", "b", "c", "d", "missing"] {
        let refused = db.execute(&format!("SELECT lfk.track('odd', '{{{column}}}')")).await.expect_err(column);
        assert!(format!("{refused:#}").contains("the key of public.odd cannot be tracked"), "{refused:#}");
    }
    assert_eq!(db.scalar::<i64>("SELECT count(*) FROM lfk.tracked").await?, 0);
    Ok(())
}
