//! Rows of a chunk as one side sends them by COPY, and which keys the two sides do not agree on. They are compared as bytes.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;

use lfk_core::parts::{Key, Purpose};
use lfk_core::{Error, Result};
use lfk_sql::statements;
use uuid::Uuid;

use super::ahead::{Lot, Part};
use super::ends::{Ends, Range};
use crate::{KeyKind, Order, Side};

/// Most bytes of one answer. Behind it the connection is closed, and fewer rows are asked for.
const MOST_BYTES: usize = 32 * 1024 * 1024;
/// What a binary COPY begins with, in front of its flags.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// The signature, the flags, and the length of an extension that does not exist.
const HEADER: usize = SIGNATURE.len() + 4 + 4;
/// The number of fields of a row.
const COUNT: usize = 2;
/// The length of a field.
const LENGTH: usize = 4;
/// The first field of rows that say whether they count: a boolean.
const FLAG: usize = LENGTH + 1;

/// Rows in the order of the key, in the binary form of COPY.
#[derive(Debug, Clone, Default)]
pub(crate) struct Copied {
    bytes: Vec<u8>,
    /// Where each row begins.
    starts: Vec<usize>,
    /// Behind the last row.
    end: usize,
    form: Form,
}

/// What rows are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Form {
    /// Of the columns of the key.
    keys: Vec<KeyKind>,
    /// How many columns follow.
    values: usize,
    /// Whether a row begins with whether it counts.
    flagged: bool,
}

/// The rows of an answer are larger than what is held in memory.
#[derive(Debug)]
struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the rows of a chunk are too large to be compared as they are")
    }
}

impl std::error::Error for TooLarge {}

/// Whether fewer rows might do.
pub(crate) fn is_too_large(error: &Error) -> bool {
    error.source.as_ref().is_some_and(|source| source.is::<TooLarge>())
}

impl Ends {
    /// The rows of a range as they are, at most `limit`.
    ///
    /// # Errors
    /// When the database fails, or their bytes are too many.
    pub(crate) async fn copy(&self, side: Side, order: Order, range: Range<'_>, limit: i64) -> Result<Copied> {
        let database = self.database(side);
        let mut tx = database.begin(Purpose::Check).await?;
        let bounds = tx.query(statements::CHECK_SET_BOUNDS).bind(limit);
        let bounds = bounds.bind(range.after.map(|key| &key.0)).bind(range.up_to.map(|key| &key.0));
        bounds.execute(tx.conn()).await.map_err(|e| database.error(e))?;
        let mut bytes = Vec::new();
        let take = |message: &[u8]| {
            bytes.extend_from_slice(message);
            if bytes.len() > MOST_BYTES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let sql = self.shapes.copy(side, order, range.bounds());
        if tx.copy_out(sql.into_sql_str(), take).await.map_err(|e| database.error(e))?.is_break() {
            let mut error = Error::refused(TooLarge.to_string()).in_database(database.name());
            error.source = Some(Box::new(TooLarge));
            return Err(error);
        }
        tx.commit().await?;
        let form = Form {
            keys: self.shapes.columns.keys.iter().map(|key| key.kind).collect(),
            values: self.shapes.columns.values.len(),
            flagged: self.shapes.is_flagged(side),
        };
        Copied::read(bytes, form)
            .ok_or_else(|| Error::refused("it answers a COPY in a form that is not known").in_database(database.name()))
    }
}

impl Form {
    fn fields(&self) -> usize {
        self.keys.len() + self.values + usize::from(self.flagged)
    }

    /// Where the key begins.
    fn head(&self) -> usize {
        if self.flagged { COUNT + FLAG } else { COUNT }
    }

    /// The columns of a key from the beginning of a row. Each is there: rows were read so.
    fn columns<'a>(&'a self, row: &'a [u8]) -> impl Iterator<Item = (KeyKind, &'a [u8])> {
        let mut rest = row;
        self.keys.iter().filter_map(move |kind| {
            let (value, behind) = field(rest)?;
            rest = behind;
            Some((*kind, value?))
        })
    }

    /// The bytes of the key.
    fn key<'a>(&self, row: &'a [u8]) -> &'a [u8] {
        let mut rest = row;
        for _ in &self.keys {
            rest = field(rest).map_or(rest, |(_, behind)| behind);
        }
        &row[..row.len() - rest.len()]
    }

    /// Which of two keys comes first. Nothing: they are not the same, and their order is the servers' affair.
    fn order(&self, one: &[u8], other: &[u8]) -> Option<Ordering> {
        for ((kind, one), (_, other)) in self.columns(one).zip(self.columns(other)) {
            let order = match kind {
                KeyKind::Int8 => number(one).cmp(&number(other)),
                KeyKind::Uuid => one.cmp(other),
                KeyKind::Text if one == other => Ordering::Equal,
                KeyKind::Text => return None,
            };
            if order != Ordering::Equal {
                return Some(order);
            }
        }
        Some(Ordering::Equal)
    }

    /// A key as rows begin with it. Nothing: it is none of this kind.
    fn encoded(&self, key: &Key) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for (kind, text) in self.keys.iter().zip(&key.0) {
            let value = match kind {
                KeyKind::Int8 => text.parse::<i64>().ok()?.to_be_bytes().to_vec(),
                KeyKind::Uuid => text.parse::<Uuid>().ok()?.into_bytes().to_vec(),
                KeyKind::Text => text.clone().into_bytes(),
            };
            bytes.extend(i32::try_from(value.len()).ok()?.to_be_bytes());
            bytes.extend(value);
        }
        Some(bytes)
    }

    fn is_ordered(&self) -> bool {
        !self.keys.contains(&KeyKind::Text)
    }
}

/// A field (nothing: NULL) and what follows it. Nothing at all: the bytes end.
fn field(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
    match usize::try_from(i32::from_be_bytes(*length)) {
        Ok(length) => rest.split_at_checked(length).map(|(value, behind)| (Some(value), behind)),
        Err(_) => Some((None, rest)),
    }
}

fn number(bytes: &[u8]) -> i64 {
    bytes.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

/// A column of a key as keys travel. Nothing: the bytes are none.
fn text(kind: KeyKind, bytes: &[u8]) -> Option<String> {
    Some(match kind {
        KeyKind::Int8 => i64::from_be_bytes(bytes.try_into().ok()?).to_string(),
        KeyKind::Uuid => Uuid::from_slice(bytes).ok()?.to_string(),
        KeyKind::Text => String::from_utf8(bytes.to_vec()).ok()?,
    })
}

impl Copied {
    /// Finds the rows. Nothing: this is no COPY of rows of this form, or not all of it.
    fn read(bytes: Vec<u8>, form: Form) -> Option<Self> {
        if !bytes.starts_with(SIGNATURE) {
            return None;
        }
        let mut starts = Vec::new();
        let mut rest = bytes.get(HEADER..)?;
        loop {
            let at = bytes.len() - rest.len();
            let (count, row) = rest.split_first_chunk::<COUNT>()?;
            match usize::try_from(i16::from_be_bytes(*count)) {
                Ok(fields) if fields == form.fields() => rest = form.behind(row)?,
                Ok(_) => return None,
                // The end, and nothing behind it.
                Err(_) if row.is_empty() => return Some(Self { starts, end: at, bytes, form }),
                Err(_) => return None,
            }
            starts.push(at);
        }
    }

    /// The key and the values of a row.
    fn row(&self, at: usize) -> &[u8] {
        let end = self.starts.get(at + 1).copied().unwrap_or(self.end);
        &self.bytes[self.starts[at] + self.form.head()..end]
    }

    fn counts(&self, at: usize) -> bool {
        !self.form.flagged || self.bytes[self.starts[at] + COUNT + LENGTH] == 1
    }

    fn key(&self, at: usize) -> Key {
        Key(self.form.columns(self.row(at)).filter_map(|(kind, value)| text(kind, value)).collect())
    }

    fn all(&self) -> &[u8] {
        &self.bytes[self.starts.first().copied().unwrap_or(self.end)..self.end]
    }

    fn merged_with(&self, target: &Self) -> Vec<Key> {
        let form = &target.form;
        let (mut here, mut there, mut suspects) = (0, 0, Vec::new());
        while here < self.len() && there < target.len() {
            let (ours, theirs) = (self.row(here), target.row(there));
            let order = if ours == theirs { Some(Ordering::Equal) } else { form.order(ours, theirs) };
            match order {
                Some(Ordering::Equal) => {
                    if ours != theirs || !self.counts(here) {
                        suspects.push(target.key(there));
                    }
                    (here, there) = (here + 1, there + 1);
                }
                Some(Ordering::Less) => {
                    suspects.extend(self.counts(here).then(|| self.key(here)));
                    here += 1;
                }
                Some(Ordering::Greater) => {
                    suspects.push(target.key(there));
                    there += 1;
                }
                None => break,
            }
        }
        // From the first text on that only one side has: what order it has is the servers' affair.
        let of_key = |at: usize| (form.key(target.row(at)), at);
        let mut left: HashMap<&[u8], usize> = (there..target.len()).map(of_key).collect();
        for at in (here..self.len()).filter(|at| self.counts(*at)) {
            let row = self.row(at);
            if left.remove(form.key(row)).is_none_or(|there| target.row(there) != row) {
                suspects.push(self.key(at));
            }
        }
        suspects.extend(left.into_values().map(|at| target.key(at)));
        suspects
    }
}

impl Form {
    /// What follows a row, whose key is whole. Nothing: the bytes end, or the row is none of this form.
    fn behind<'a>(&self, row: &'a [u8]) -> Option<&'a [u8]> {
        let mut rest = row;
        if self.flagged {
            let (flag, behind) = field(rest)?;
            rest = (flag?.len() == 1).then_some(behind)?;
        }
        for kind in &self.keys {
            let (value, behind) = field(rest)?;
            let value = value?;
            let is_one = match kind {
                KeyKind::Int8 => value.len() == 8,
                KeyKind::Uuid => value.len() == 16,
                KeyKind::Text => std::str::from_utf8(value).is_ok(),
            };
            rest = is_one.then_some(behind)?;
        }
        for _ in 0..self.values {
            rest = field(rest)?.1;
        }
        Some(rest)
    }
}

impl Part for Copied {
    async fn read(ends: &Ends, side: Side, range: Range<'_>, limit: i64) -> Result<Self> {
        ends.copy(side, ends.shapes.columns.order, range, limit).await
    }

    fn end(&self, limit: i64) -> Option<Key> {
        let last = self.len().checked_sub(1)?;
        i64::try_from(self.len()).is_ok_and(|rows| rows >= limit).then(|| self.key(last))
    }
}

impl Lot for Copied {
    fn len(&self) -> usize {
        self.starts.len()
    }

    fn counted(&self) -> usize {
        if self.form.flagged { (0..self.len()).filter(|at| self.counts(*at)).count() } else { self.len() }
    }

    fn bytes(&self) -> usize {
        self.all().len()
    }

    fn up_to(&self, key: &Key) -> Option<usize> {
        if self.len() == 0 {
            return Some(0);
        }
        let key = self.form.encoded(key)?;
        if self.form.is_ordered() {
            let mut ends = (0, self.len());
            while ends.0 < ends.1 {
                let middle = ends.0.midpoint(ends.1);
                let before = self.form.order(self.row(middle), &key).is_some_and(Ordering::is_le);
                ends = if before { (middle + 1, ends.1) } else { (ends.0, middle) };
            }
            return Some(ends.0);
        }
        // Mostly near the end.
        (0..self.len()).rev().find(|at| self.form.key(self.row(*at)) == key).map(|at| at + 1)
    }

    fn take(&mut self, rows: usize) -> Self {
        let at = self.starts.get(rows).copied().unwrap_or(self.end);
        let mut left = Self { form: self.form.clone(), ..Self::default() };
        left.starts = self.starts.split_off(rows).into_iter().map(|start| start - at).collect();
        left.bytes = self.bytes[at..self.end].to_vec();
        left.end = left.bytes.len();
        let mut taken = std::mem::replace(self, left);
        taken.end = at;
        taken
    }

    fn append(&mut self, next: Self) {
        if self.len() == 0 {
            *self = next;
            return;
        }
        self.bytes.truncate(self.end);
        let from = next.end - next.all().len();
        self.starts.extend(next.starts.iter().map(|start| start - from + self.end));
        self.bytes.extend_from_slice(next.all());
        self.end = self.bytes.len();
    }

    fn differing(source: &Self, target: &Self) -> Vec<Key> {
        if !source.form.flagged && source.all() == target.all() {
            return Vec::new();
        }
        source.merged_with(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

    fn sent(flags: Option<&[bool]>, rows: &[Row<'_>]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0; 8]);
        for (at, (key, value)) in rows.iter().enumerate() {
            let flag = flags.map(|flags| [u8::from(flags[at])]);
            bytes.extend(if flag.is_some() { [0, 3] } else { [0, 2] });
            let fields = flag.as_ref().map(|flag| Some(flag.as_slice())).into_iter().chain([*key, *value]);
            for field in fields {
                let length = field.map_or(-1, |field| i32::try_from(field.len()).unwrap());
                bytes.extend(length.to_be_bytes());
                bytes.extend(field.unwrap_or_default());
            }
        }
        bytes.extend((-1_i16).to_be_bytes());
        bytes
    }

    fn form(kind: KeyKind, flagged: bool) -> Form {
        Form { keys: vec![kind], values: 1, flagged }
    }

    /// Rows whose values are numbers; without one the row does not count.
    fn copied(kind: KeyKind, flagged: bool, rows: &[(i64, Option<u8>)]) -> Copied {
        let keys: Vec<Vec<u8>> = rows
            .iter()
            .map(|(key, _)| match kind {
                KeyKind::Int8 => key.to_be_bytes().to_vec(),
                KeyKind::Uuid => Uuid::from_u128(u128::try_from(*key).unwrap()).as_bytes().to_vec(),
                KeyKind::Text => key.to_string().into_bytes(),
            })
            .collect();
        let values: Vec<Option<[u8; 1]>> = rows.iter().map(|(_, value)| value.map(|value| [value])).collect();
        let flags: Vec<bool> = rows.iter().map(|(_, value)| value.is_some()).collect();
        let fields = keys.iter().zip(&values);
        let fields: Vec<Row<'_>> =
            fields.map(|(key, value)| (Some(key.as_slice()), value.as_ref().map(|v| &v[..]))).collect();
        Copied::read(sent(flagged.then_some(&flags[..]), &fields), form(kind, flagged)).expect("whole rows")
    }

    fn found(source: &Copied, target: &Copied) -> Vec<i64> {
        let number = |key: Key| match key.0[0].parse::<Uuid>() {
            Ok(uuid) => i64::try_from(uuid.as_u128()).unwrap(),
            Err(_) => key.0[0].parse().unwrap(),
        };
        let mut keys: Vec<i64> = Copied::differing(source, target).into_iter().map(number).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn m03_rows_of_one_side_only_are_found_at_both_ends_and_between() {
        let (all, some) = ([(1, Some(1)), (2, Some(2)), (3, Some(3)), (4, Some(4))], [(2, Some(2)), (4, Some(4))]);
        for kind in [KeyKind::Int8, KeyKind::Uuid, KeyKind::Text] {
            let list = |rows: &[_]| copied(kind, false, rows);
            assert_eq!(found(&list(&all), &list(&some)), [1, 3]);
            assert_eq!(found(&list(&some), &list(&all)), [1, 3]);
            assert_eq!(found(&list(&all), &list(&all[..2])), [3, 4]);
            assert_eq!(found(&list(&[]), &list(&some)), [2, 4]);
            assert_eq!(found(&list(&some), &list(&[])), [2, 4]);
            assert!(found(&list(&all), &list(&all)).is_empty());
            assert_eq!(found(&list(&all), &list(&[(1, Some(1)), (2, None), (3, Some(4)), (4, Some(4))])), [2, 3]);
        }
    }

    #[test]
    fn a_row_that_does_not_count_is_none() {
        let source = [(1, Some(1)), (2, None), (3, None), (5, Some(5)), (6, Some(6)), (7, None)];
        // Of the last one the target's value is NULL, too.
        let target = [(1, Some(1)), (3, Some(3)), (4, Some(4)), (6, Some(7)), (7, None)];
        for kind in [KeyKind::Int8, KeyKind::Uuid, KeyKind::Text] {
            let (source, target) = (copied(kind, true, &source), copied(kind, false, &target));
            assert_eq!(source.counted(), 3);
            assert_eq!(found(&source, &target), [3, 4, 5, 6, 7]);
        }
    }

    #[test]
    fn numbers_below_zero_come_first() {
        let list = |rows: &[_]| copied(KeyKind::Int8, false, rows);
        let (source, target) = (list(&[(i64::MIN, Some(1)), (-1, Some(1)), (0, Some(1))]), list(&[(0, Some(1))]));
        assert_eq!(found(&source, &target), [i64::MIN, -1]);
        assert_eq!(source.up_to(&Key(vec!["-1".to_owned()])), Some(2));
    }

    #[test]
    fn rows_are_taken_up_to_a_key_and_the_next_ones_are_added() {
        for kind in [KeyKind::Int8, KeyKind::Uuid, KeyKind::Text] {
            let list = |rows: &[_]| copied(kind, false, rows);
            let key = |number: i64| list(&[(number, None)]).key(0);
            let mut rows = list(&[(1, Some(1)), (2, Some(2)), (30, Some(3))]);
            assert_eq!((rows.up_to(&key(2)), rows.up_to(&key(30))), (Some(2), Some(3)));
            assert_eq!(
                rows.up_to(&key(29)),
                (kind != KeyKind::Text).then_some(2),
                "the order of texts is not known here"
            );
            let front = rows.take(2);
            assert_eq!((front.len(), front.end(2), rows.len()), (2, Some(key(2)), 1));
            rows.append(list(&[(31, Some(4))]));
            assert_eq!(rows.all(), list(&[(30, Some(3)), (31, Some(4))]).all());
            assert_eq!(found(&rows, &list(&[(30, Some(3)), (31, Some(5))])), [31]);
            assert_eq!(rows.take(2).len(), 2);
            assert_eq!((rows.len(), rows.up_to(&key(1))), (0, Some(0)));
            rows.append(list(&[(40, Some(1))]));
            assert_eq!(rows.all(), list(&[(40, Some(1))]).all());
        }
    }

    #[test]
    fn what_is_not_whole_is_not_taken_for_rows() {
        let key = 7_i64.to_be_bytes();
        let whole = sent(None, &[(Some(&key), Some(b"x"))]);
        let read = |bytes: &[u8]| Copied::read(bytes.to_vec(), form(KeyKind::Int8, false));
        assert!(read(&whole).is_some());
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_none(), "{length} bytes");
        }
        assert!(read(&[&whole[..], b"x"].concat()).is_none(), "more behind the end");
        assert!(read(&sent(Some(&[true]), &[(Some(&key), None)])).is_none(), "another number of columns");
        assert!(read(&sent(None, &[(None, None)])).is_none(), "no key");
        assert!(read(&sent(None, &[(Some(&key[..4]), None)])).is_none(), "a key of another type");
    }
}
