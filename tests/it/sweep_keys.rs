//! Sweeps of every kind of key and action.

use std::time::Duration;

use anyhow::Result;
use lfk_core::{LooseForeignKey, OnDelete};
use lfk_sql::Ident;
use lfk_tests::Pair;
use lfk_tests::scenario::{active, drain};

use crate::clean_support::table;

/// Parents, children, the definition (`parent`, `child`), and what is left when the parents were truncated and only
/// the second is back.
struct Case {
    parents: &'static str,
    back: &'static str,
    children: &'static str,
    definition: LooseForeignKey,
    left: &'static [&'static str],
}

impl Case {
    fn definition(parent: &str, child: &str, on_delete: OnDelete) -> Result<LooseForeignKey> {
        let (parent, child) = (format!("main:public.parents({parent})"), format!("ci:public.children({child})"));
        Ok(LooseForeignKey::new(&parent, &child, on_delete)?.settle_after(Duration::ZERO))
    }

    async fn expect(self) -> Result<()> {
        let pair = Pair::with_schema(self.parents, self.children).await?;
        pair.main.execute(self.back).await?;
        let engine = active(&pair, [self.definition]).await?;
        pair.main.execute("TRUNCATE parents").await?;
        pair.main.execute(self.back).await?;
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, "children").await?, self.left);
        let left = "SELECT count(*) FROM lfk.retry WHERE consumer NOT LIKE '%~trailing'";
        assert_eq!(pair.main.scalar::<i64>(left).await?, 0);
        Ok(())
    }
}

const NUMBERS: &str = "CREATE TABLE parents (id bigint PRIMARY KEY)";
const BACK: &str = "INSERT INTO parents VALUES (2)";

#[tokio::test]
async fn c04_composite_keys_are_swept_and_a_null_among_them_refers_to_nobody() -> Result<()> {
    let case = Case {
        parents: "CREATE TABLE parents (shop int, number text, PRIMARY KEY (shop, number))",
        back: "INSERT INTO parents VALUES (2, 'a')",
        children: "CREATE TABLE children (id int PRIMARY KEY, shop smallint, number varchar(9));
            CREATE INDEX ON children (shop, number);
            INSERT INTO children VALUES (1, 1, 'a'), (2, 2, 'a'), (3, 2, 'b'), (4, 1, NULL), (5, NULL, 'a'), (6, 3, 'a')",
        definition: Case::definition("shop, number", "shop, number", OnDelete::Delete)?,
        left: &["(2,2,a)", "(4,1,)", "(5,,a)"],
    };
    case.expect().await
}

#[tokio::test]
async fn c04_uuid_keys_are_swept() -> Result<()> {
    let case = Case {
        parents: "CREATE TABLE parents (id uuid PRIMARY KEY)",
        back: "INSERT INTO parents VALUES ('00000000-0000-0000-0000-000000000002')",
        children: "CREATE TABLE children (id int PRIMARY KEY, parent uuid); CREATE INDEX ON children (parent);
            INSERT INTO children VALUES (1, '00000000-0000-0000-0000-000000000001'), (2, '00000000-0000-0000-0000-000000000002'),
              (3, NULL)",
        definition: Case::definition("id", "parent", OnDelete::Delete)?,
        left: &["(2,00000000-0000-0000-0000-000000000002)", "(3,)"],
    };
    case.expect().await
}

#[tokio::test]
async fn c04_text_keys_are_swept_in_the_order_of_their_own_collation() -> Result<()> {
    let case = Case {
        parents: "CREATE TABLE parents (id text PRIMARY KEY)",
        back: "INSERT INTO parents VALUES ('b')",
        children: r#"CREATE TABLE children (id int PRIMARY KEY, parent text COLLATE "und-x-icu"); CREATE INDEX ON children (parent);
            INSERT INTO children VALUES (1, 'a'), (2, 'b'), (3, 'B'), (4, ''), (5, 'ä'), (6, NULL)"#,
        definition: Case::definition("id", "parent", OnDelete::Delete)?,
        left: &["(2,b)", "(6,)"],
    };
    case.expect().await
}

#[tokio::test]
async fn c04_a_sweep_looks_only_at_children_that_the_condition_means() -> Result<()> {
    let case = Case {
        parents: NUMBERS,
        back: BACK,
        children: "CREATE TABLE children (id int PRIMARY KEY, kind text, parent bigint); CREATE INDEX ON children (kind, parent);
            INSERT INTO children VALUES (1, 'Post', 1), (2, 'Post', 2), (3, 'Wiki', 1), (4, NULL, 1), (5, 'Post', NULL)",
        definition: Case::definition("id", "parent", OnDelete::Delete)?.only_where("kind", "Post")?,
        left: &["(2,Post,2)", "(3,Wiki,1)", "(4,,1)", "(5,Post,)"],
    };
    case.expect().await
}

#[tokio::test]
async fn c04_a_sweep_nulls_where_children_are_nulled() -> Result<()> {
    let case = Case {
        parents: NUMBERS,
        back: BACK,
        children: "CREATE TABLE children (id int PRIMARY KEY, parent smallint); CREATE INDEX ON children (parent);
            INSERT INTO children VALUES (1, 1), (2, 2), (3, NULL)",
        definition: Case::definition("id", "parent", OnDelete::SetNull)?,
        left: &["(1,)", "(2,2)", "(3,)"],
    };
    case.expect().await
}

#[tokio::test]
async fn c04_a_sweep_sets_where_children_are_set_and_comes_to_an_end() -> Result<()> {
    let status = Ident::new("status")?;
    let case = Case {
        parents: NUMBERS,
        back: BACK,
        children:
            "CREATE TABLE children (id int PRIMARY KEY, parent bigint, status int); CREATE INDEX ON children (parent);
            INSERT INTO children VALUES (1, 1, 0), (2, 2, 0), (3, 1, NULL), (4, 1, 4)",
        definition: Case::definition("id", "parent", OnDelete::Set(vec![(status, Some("4".to_owned()))]))?,
        left: &["(1,1,4)", "(2,2,0)", "(3,1,4)", "(4,1,4)"],
    };
    case.expect().await
}

#[tokio::test]
async fn c04_children_in_partitions_are_swept() -> Result<()> {
    let case = Case {
        parents: NUMBERS,
        back: BACK,
        children: "CREATE TABLE children (id int PRIMARY KEY, parent bigint) PARTITION BY RANGE (id);
            CREATE TABLE low PARTITION OF children FOR VALUES FROM (0) TO (10);
            CREATE TABLE high PARTITION OF children FOR VALUES FROM (10) TO (20);
            CREATE INDEX ON children (parent);
            INSERT INTO children VALUES (1, 1), (2, 2), (11, 1), (12, 2), (13, 3)",
        definition: Case::definition("id", "parent", OnDelete::Delete)?,
        left: &["(2,2)", "(12,2)"],
    };
    case.expect().await
}

#[tokio::test]
async fn c04_one_key_with_more_children_than_a_chunk_is_passed_whole() -> Result<()> {
    let case = Case {
        parents: NUMBERS,
        back: BACK,
        children: "CREATE TABLE children (id int PRIMARY KEY, parent bigint); CREATE INDEX ON children (parent);
            INSERT INTO children SELECT n, 1 FROM generate_series(1, 11000) n;
            INSERT INTO children VALUES (20001, 2), (20002, 3)",
        definition: Case::definition("id", "parent", OnDelete::Delete)?,
        left: &["(20001,2)"],
    };
    case.expect().await
}
