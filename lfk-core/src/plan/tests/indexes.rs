//! Which indexes find the children of a key.

use super::*;

/// The findings for a child with these indexes, under `where kind = 'Post'` when asked.
fn with_indexes(indexes: Vec<Index>, polymorphic: bool) -> Vec<Finding> {
    let mut definition = definition(OnDelete::Delete);
    if polymorphic {
        definition = definition.only_where("kind", "Post").unwrap();
    }
    judge(&definition, &parent(), &End { indexes, ..child() })
}

fn partial(predicate: &str) -> Index {
    Index { predicate: Some(predicate.to_owned()), ..index(2, &["customer_id"]) }
}

#[test]
fn an_index_that_leads_with_the_column_is_usable() {
    let hash = Index { method: "hash".to_owned(), ..index(2, &["customer_id"]) };
    for usable in [index(2, &["customer_id", "status"]), partial("(customer_id IS NOT NULL)"), hash] {
        assert_eq!(with_indexes(vec![usable], false), []);
    }
    for usable in [index(2, &["kind", "customer_id"]), partial("(kind = 'Post'::text)"), partial("(kind IS NOT NULL)")]
    {
        assert_eq!(with_indexes(vec![usable.clone()], true), []);
        assert_eq!(with_indexes(vec![usable], false)[0].code, "no_usable_index");
    }
}

#[test]
fn other_indexes_are_refused_with_one_line_a_leaf() {
    let foreign_operators = Index { equals: vec!["text".to_owned()], ..index(2, &["customer_id"]) };
    let foreign_collation = Index { same_collation: vec![Some(false)], ..index(2, &["customer_id"]) };
    let expression = Index { columns: vec![None], same_collation: vec![None], ..index(2, &["customer_id"]) };
    for useless in [
        index(2, &["status", "customer_id"]),
        index(3, &["customer_id"]),
        partial("(status = 4)"),
        partial("(kind = 'Comment'::text)"),
        foreign_operators,
        foreign_collation,
        expression,
    ] {
        let found = with_indexes(vec![useless], true);
        assert!(found.len() == 1 && found[0].refuses, "{found:?}");
        assert_eq!(found[0].remedy, ["CREATE INDEX CONCURRENTLY ON public.rental (customer_id);"]);
    }
    let broken = with_indexes(vec![Index { valid: false, ..index(2, &["customer_id"]) }], false);
    assert!(broken[0].refuses && broken[0].message.contains("not valid"), "{broken:?}");
    assert_eq!(broken[0].remedy, ["REINDEX INDEX CONCURRENTLY public.customer_id_idx;"]);
}

#[test]
fn every_leaf_needs_one_but_an_empty_inheritance_root() {
    let mut tree = child();
    tree.members[0].has_children = true;
    tree.indexes.clear();
    for (id, name) in [(3, "rental_1"), (4, "rental_2")] {
        tree.members.push(member(id, name, "r"));
        tree.columns.push(column(id, "customer_id", "smallint"));
    }
    let lines = |tree: &End, refuses| -> usize {
        let found = judge(&definition(OnDelete::Delete), &parent(), tree);
        found.iter().filter(|f| f.refuses == refuses).map(|f| f.remedy.len()).sum()
    };
    assert_eq!((lines(&tree, true), lines(&tree, false)), (3, 0));
    tree.members[0].bytes = 0;
    assert_eq!((lines(&tree, true), lines(&tree, false)), (2, 1));
    tree.indexes = vec![index(3, &["customer_id"]), index(4, &["customer_id"])];
    assert_eq!((lines(&tree, true), lines(&tree, false)), (0, 1));
    // The root of a partitioned table holds no rows at all.
    tree.members[0].kind = "p".to_owned();
    assert_eq!((lines(&tree, true), lines(&tree, false)), (0, 0));
}

#[test]
fn several_columns_should_all_lead() {
    let definition =
        LooseForeignKey::new("a:public.customer(a, b)", "b:public.rental(x, y)", OnDelete::Delete).unwrap();
    let parent = End {
        columns: vec![column(1, "a", "integer"), column(1, "b", "text")],
        indexes: vec![Index { is_unique: true, ..index(1, &["b", "a"]) }],
        ..parent()
    };
    let with = |columns: &[&str]| {
        let child = End {
            columns: vec![column(2, "x", "integer"), column(2, "y", "text")],
            indexes: vec![index(2, columns)],
            ..child()
        };
        judge(&definition, &parent, &child).iter().map(|f| (f.code, f.refuses)).collect::<Vec<_>>()
    };
    assert_eq!(with(&["x", "y"]), []);
    assert_eq!(with(&["y", "x", "z"]), []);
    assert_eq!(with(&["x", "z", "y"]), [("index_covers_part", false)]);
    assert_eq!(with(&["z", "x", "y"]), [("no_usable_index", true)]);
}
