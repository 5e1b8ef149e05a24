//! Keys as they travel: text, whatever their type. The server casts them to the parent's type.

/// One key: its columns in the order of the definition.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub Vec<String>);

impl Key {
    /// Cuts a flat list of columns into keys. `None` when the list does not come out even: then the log row is not ours.
    pub fn from_columns(flat: Vec<String>, width: usize) -> Option<Vec<Key>> {
        if width == 0 || !flat.len().is_multiple_of(width) {
            return None;
        }
        let mut columns = flat.into_iter();
        let mut keys = Vec::with_capacity(columns.len() / width);
        while let Some(first) = columns.next() {
            let mut key = Vec::with_capacity(width);
            key.push(first);
            key.extend(columns.by_ref().take(width - 1));
            keys.push(Key(key));
        }
        Some(keys)
    }

    /// The reverse: for statements that take keys as one list.
    pub fn flatten(keys: &[Key]) -> Vec<String> {
        keys.iter().flat_map(|k| k.0.iter().cloned()).collect()
    }

    /// One list a column, as the cleaning statements bind them.
    pub fn by_column(keys: &[Key], width: usize) -> Vec<Vec<String>> {
        (0..width).map(|column| keys.iter().map(|k| k.0[column].clone()).collect()).collect()
    }
}

/// Sorts and collapses duplicates. Every worker then locks children in the same order; shorter first, so that
/// non-negative integers come in their own order and neighbours on disk stay neighbours.
pub fn sort_unique(keys: &mut Vec<Key>) {
    keys.sort_by(|a, b| {
        let lengths = a.0.iter().map(String::len).cmp(b.0.iter().map(String::len));
        lengths.then_with(|| a.cmp(b))
    });
    keys.dedup();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(columns: &[&str]) -> Key {
        Key(columns.iter().map(|c| (*c).to_owned()).collect())
    }

    #[test]
    fn composite_keys_are_cut_and_joined_again() {
        let flat: Vec<String> = ["1", "a", "2", "b"].map(str::to_owned).to_vec();
        let keys = Key::from_columns(flat.clone(), 2).unwrap();
        assert_eq!(keys, [key(&["1", "a"]), key(&["2", "b"])]);
        assert_eq!(Key::flatten(&keys), flat);
        assert_eq!(Key::by_column(&keys, 2), [["1", "2"], ["a", "b"]]);
    }

    #[test]
    fn a_list_that_does_not_come_out_even_is_refused() {
        assert_eq!(Key::from_columns(vec!["1".to_owned(); 3], 2), None);
    }

    #[test]
    fn integers_sort_by_value_and_duplicates_collapse() {
        let mut keys = vec![key(&["10"]), key(&["9"]), key(&["10"]), key(&["2"])];
        sort_unique(&mut keys);
        assert_eq!(keys, [key(&["2"]), key(&["9"]), key(&["10"])]);
    }
}
