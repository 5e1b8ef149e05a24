//! A table of the file, read key by key; whatever does not fit is added to the problems with its place.

use std::num::NonZeroU8;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::config::problem::Problems;
use crate::config::{Environment, variables};
use crate::suggest;

/// A table of the file.
#[derive(Clone)]
pub(super) struct Section<'d> {
    table: &'d DeTable<'d>,
    place: Range<usize>,
    called: String,
    environment: Environment<'d>,
}

/// A text of the file, with variables filled in.
#[derive(Clone)]
pub(super) struct Located {
    pub(super) text: String,
    pub(super) span: Range<usize>,
}

impl<'d> Section<'d> {
    pub(super) fn new(
        table: &'d DeTable<'d>,
        place: Range<usize>,
        called: impl Into<String>,
        environment: Environment<'d>,
    ) -> Self {
        Self { table, place, called: called.into(), environment }
    }

    pub(super) fn place(&self) -> Range<usize> {
        self.place.clone()
    }

    /// The names in it, sorted.
    pub(super) fn keys(&self) -> Vec<&'d str> {
        self.table.keys().map(|key| &**key.get_ref()).collect()
    }

    /// The place of a key, and its value.
    pub(super) fn entry(&self, key: &str) -> Option<(Range<usize>, &'d Spanned<DeValue<'d>>)> {
        self.table.iter().find(|(k, _)| k.get_ref() == key).map(|(k, v)| (k.span(), v))
    }

    /// The table under a key, if it is one.
    pub(super) fn table(&self, key: &str) -> Option<Section<'d>> {
        let (place, value) = self.entry(key)?;
        let table = value.get_ref().as_table()?;
        Some(Section::new(table, place, format!("`{key}`"), self.environment))
    }

    /// The array under a key, if it is one.
    pub(super) fn array(&self, key: &str) -> Option<&'d DeArray<'d>> {
        self.entry(key)?.1.get_ref().as_array()
    }

    /// A table that is an element of one of its arrays.
    pub(super) fn element(&self, value: &'d Spanned<DeValue<'d>>, called: &str) -> Option<Section<'d>> {
        let table = value.get_ref().as_table()?;
        Some(Section::new(table, value.span(), called, self.environment))
    }

    pub(super) fn refuse_unknown(&self, known: &[&str], problems: &mut Problems<'_>) {
        for key in self.table.keys().filter(|key| !known.contains(&&**key.get_ref())) {
            let hint = suggest::hint(key.get_ref(), known.iter().copied());
            problems.add(key.span(), format!("unknown key `{}` in {}", key.get_ref(), self.called), Some(hint));
        }
    }

    /// A text, if the key is there.
    pub(super) fn string(&self, key: &str, problems: &mut Problems<'_>) -> Option<Located> {
        let (_, value) = self.entry(key)?;
        match value.get_ref() {
            DeValue::String(text) => self.fill(text, value.span(), problems),
            other => {
                problems.add(value.span(), format!("`{key}` is {}, not a text in quotes", kind_of(other)), None);
                None
            }
        }
    }

    /// A text that has to be there.
    pub(super) fn required_string(&self, key: &str, remedy: &str, problems: &mut Problems<'_>) -> Option<Located> {
        if self.entry(key).is_none() {
            problems.add(self.place(), format!("`{key}` is missing in {}", self.called), Some(remedy.to_owned()));
        }
        self.string(key, problems)
    }

    /// Whether a switch is on; absent is off.
    pub(super) fn flag(&self, key: &str, problems: &mut Problems<'_>) -> bool {
        match self.entry(key).map(|(_, value)| (value.span(), value.get_ref())) {
            None => false,
            Some((_, DeValue::Boolean(on))) => *on,
            Some((span, other)) => {
                problems.add(span, format!("`{key}` is {}, not true or false", kind_of(other)), None);
                false
            }
        }
    }

    /// A whole number from 1, if the key is there.
    pub(super) fn positive_number(&self, key: &str, problems: &mut Problems<'_>) -> Option<u32> {
        let (_, value) = self.entry(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(n) => u32::from_str_radix(n.as_str(), n.radix()).ok().filter(|n| *n > 0),
            _ => None,
        };
        if number.is_none() {
            let message = format!("`{key}` is not a whole number from 1 to {}", u32::MAX);
            problems.add(value.span(), message, Some("leave it out for no limit".to_owned()));
        }
        number
    }

    /// A whole number from 1 to 100.
    pub(super) fn percent(&self, key: &str, problems: &mut Problems<'_>) -> Option<NonZeroU8> {
        let (_, value) = self.entry(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(n) => u8::from_str_radix(n.as_str(), n.radix()).ok().filter(|n| *n <= 100),
            _ => None,
        };
        let percent = number.and_then(NonZeroU8::new);
        if percent.is_none() {
            let message = format!("`{key}` is not a whole number from 1 to 100");
            problems.add(value.span(), message, Some("leave it out for the default".to_owned()));
        }
        percent
    }

    /// All its keys with their values as text that PostgreSQL reads.
    pub(super) fn literals(&self, problems: &mut Problems<'_>) -> Vec<(Located, String)> {
        let mut all = Vec::new();
        for (key, value) in self.table {
            let text = match value.get_ref() {
                DeValue::String(text) => self.fill(text, value.span(), problems).map(|located| located.text),
                DeValue::Integer(n) => match i64::from_str_radix(n.as_str(), n.radix()) {
                    Ok(n) => Some(n.to_string()),
                    Err(_) => {
                        problems.add(
                            value.span(),
                            "the number does not fit into 64 bits".to_owned(),
                            Some("write it in quotes".to_owned()),
                        );
                        None
                    }
                },
                DeValue::Float(n) => Some(n.as_str().to_owned()),
                DeValue::Boolean(b) => Some(b.to_string()),
                other => {
                    let hint = "write a text, a number, true or false; anything else as a text that PostgreSQL reads";
                    problems.add(value.span(), format!("the value is {}", kind_of(other)), Some(hint.to_owned()));
                    None
                }
            };
            if let Some(text) = text {
                all.push((Located { text: key.get_ref().to_string(), span: key.span() }, text));
            }
        }
        all
    }

    fn fill(&self, text: &str, span: Range<usize>, problems: &mut Problems<'_>) -> Option<Located> {
        match variables::expand(text, self.environment) {
            // PostgreSQL has no text with a NUL in it, neither in a name nor in a value.
            Ok(text) if text.contains('\0') => {
                problems.add(span, "the text contains a NUL character".to_owned(), None);
                None
            }
            Ok(text) => Some(Located { text, span }),
            Err(unfilled) => {
                problems.add(span, unfilled.message, Some(unfilled.hint));
                None
            }
        }
    }
}

/// What a value is, for messages. Never the value itself: it may be a secret in the wrong place.
pub(super) fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
