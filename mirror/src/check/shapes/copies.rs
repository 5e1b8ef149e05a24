//! The statement that sends rows as they are.

use lfk_sql::statements::{self, check_fragment as fragment, sweep_fragment};
use lfk_sql::{Piece, Sql, Template};

use super::{Bounds, Shapes, always, number, type_of};
use crate::{Forms, Order, Side};

impl Shapes {
    /// The next rows between bounds that were set: whether they count, where there is a filter; the key; the values.
    pub(crate) fn copy(&self, side: Side, order: Order, bounds: Bounds) -> Sql {
        let sorted = Sql::join(self.sort_keys(side, order), ", ");
        let limits =
            [(bounds.after, sweep_fragment::BEHIND, "lfk.behind"), (bounds.up_to, fragment::UP_TO, "lfk.up_to")];
        let limits = limits.into_iter().filter(|(present, ..)| *present);
        let limits: Vec<Sql> = limits.map(|(_, template, setting)| self.limit(template, setting, &sorted)).collect();
        statements::CHECK_COPY_ROWS.render(&[
            ("values", Sql::join(self.sent(side), ", ").into()),
            ("table", self.table(side)),
            ("alias", (&side.alias()).into()),
            ("bounds", if limits.is_empty() { always() } else { Sql::join(limits, " AND ").into() }),
            ("order", sorted.into()),
        ])
    }

    /// Whether rows of a side begin with whether they count.
    pub(crate) fn is_flagged(&self, side: Side) -> bool {
        side == Side::Source && self.columns.filter.is_some()
    }

    fn limit(&self, template: Template, setting: &'static str, columns: &Sql) -> Sql {
        let one = |(kind, n)| {
            let (setting, number) = (Piece::literal(setting), number(n));
            fragment::BOUND.render(&[("setting", setting), ("number", number), ("type", type_of(kind))])
        };
        let keys = Sql::join(self.columns.keys.iter().map(|key| key.kind).zip(1..).map(one), ", ");
        template.render(&[("columns", columns.clone().into()), ("keys", keys.into())])
    }

    fn sent(&self, side: Side) -> Vec<Sql> {
        let values = self.columns.values.iter().map(|v| if side == Side::Source { &v.in_source } else { &v.in_target });
        let mut all: Vec<Sql> = Vec::new();
        if self.is_flagged(side) {
            all.push(fragment::IS_COUNTED.render(&[("filter", self.filter(side))]));
        }
        all.extend(self.key_forms(side).map(|(forms, _)| forms.sent.clone()));
        all.extend(values.map(|forms| self.sent_where_counted(side, forms)));
        all
    }

    fn sent_where_counted(&self, side: Side, forms: &Forms) -> Sql {
        if self.is_flagged(side) {
            let pieces = [("filter", self.filter(side)), ("value", forms.sent.clone().into())];
            fragment::WHERE_COUNTED.render(&pieces)
        } else {
            forms.sent.clone()
        }
    }
}
