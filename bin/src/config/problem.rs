//! Mistakes in the file, collected so that all are told at once.

use std::ops::Range;

use crate::exit::{Complaint, Exit, Failure};

/// A generated file with thousands of mistakes must not scroll the first ones away.
const MOST: usize = 20;

/// What is wrong so far.
#[derive(Debug)]
pub(super) struct Problems<'a> {
    file: &'a str,
    input: &'a str,
    found: Vec<(usize, Complaint)>,
}

impl<'a> Problems<'a> {
    pub(super) fn new(file: &'a str, input: &'a str) -> Self {
        Self { file, input, found: Vec::new() }
    }

    /// Adds a mistake at a place of the file, with its remedy.
    pub(super) fn add(&mut self, place: Range<usize>, message: String, hint: Option<String>) {
        let (line, column) = self.position(place.start);
        let mut complaint = Complaint::new(format!("{}:{line}:{column}: {message}", self.file));
        complaint.hints.extend(hint);
        self.found.push((place.start, complaint));
    }

    /// Line and column, both from 1, the column in characters.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.input.get(..offset).unwrap_or(self.input);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// All mistakes in the order of the file, if there are any.
    pub(super) fn none_so_far(&mut self) -> Result<(), Failure> {
        if self.found.is_empty() {
            return Ok(());
        }
        let mut found = std::mem::take(&mut self.found);
        found.sort_by_key(|(at, _)| *at);
        let more = found.len().saturating_sub(MOST);
        let mut complaints: Vec<Complaint> = found.into_iter().take(MOST).map(|(_, complaint)| complaint).collect();
        if more > 0 {
            complaints.push(Complaint::new(format!("{}: {more} more", self.file)));
        }
        Err(Failure { exit: Exit::Usage, complaints })
    }
}
