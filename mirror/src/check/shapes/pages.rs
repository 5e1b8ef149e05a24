//! Statements that read a leaf page by page.

use lfk_sql::statements::{self, check_fragment as fragment};
use lfk_sql::{Piece, Sql, TableName};

use super::{HashForm, Shapes, name_of};
use crate::columns::cast;
use crate::{Forms, KeyKind, Order, Side};

impl Shapes {
    /// Rows of some pages, added up by the bucket of their key.
    pub(crate) fn sum_pages(&self, side: Side, leaf: &TableName) -> Sql {
        statements::CHECK_SUM_PAGES.render(&[
            ("bucket", self.bucket(side).into()),
            ("filter", self.filter(side)),
            ("hash", self.hash(side).into()),
            ("leaf", leaf.into()),
            ("alias", (&side.alias()).into()),
            ("pages", in_pages(side).into()),
        ])
    }

    /// Rows of some pages that are in certain buckets, or were written since the walk began.
    pub(crate) fn skim_pages(&self, side: Side, leaf: &TableName) -> Sql {
        let columns = self.sort_keys(side, Order::Native).into_iter().zip(1..);
        let named = columns
            .map(|(column, n)| fragment::NAMED.render(&[("value", column.into()), ("name", (&name_of(n)).into())]));
        statements::CHECK_SKIM_PAGES.render(&[
            ("texts", self.texts("s").into()),
            ("keys", Sql::join(named, ", ").into()),
            ("filter", self.filter(side)),
            ("hash", self.hash(side).into()),
            ("leaf", leaf.into()),
            ("alias", (&side.alias()).into()),
            ("pages", in_pages(side).into()),
            ("bucket", self.bucket(side).into()),
        ])
    }

    /// Of the key alone, in the form that is compared: the same on both servers, whatever their collations.
    fn bucket(&self, side: Side) -> Sql {
        let mut keys = self.key_forms(side);
        let single = keys.next().filter(|_| keys.next().is_none() && self.form == HashForm::Extended);
        let value = |forms: &Forms, kind: KeyKind| {
            let typed = cast(forms.value.clone(), &format!("pg_catalog.{}", kind.type_name()));
            [("value", Piece::from(typed))]
        };
        // A record of one column would cost as much as the whole row.
        let hash = match single {
            Some((forms, KeyKind::Int8)) => fragment::BUCKET_INT8.render(&value(forms, KeyKind::Int8)),
            Some((forms, KeyKind::Uuid)) => fragment::BUCKET_UUID.render(&value(forms, KeyKind::Uuid)),
            _ => self.hash_of(Sql::join(self.key_forms(side).map(|(forms, _)| forms.hash.clone()), ", ")),
        };
        fragment::BUCKET.render(&[("hash", hash.into())])
    }
}

fn in_pages(side: Side) -> Sql {
    fragment::IN_PAGES.render(&[("alias", Piece::from(&side.alias()))])
}
