//! The stored position of a scan: how far it has come, and what it has counted until there. Losing it means a new start.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::walk::{Place, Table};
use crate::definition::LooseForeignKey;
use crate::error::Result;
use crate::plan::table_text;
use crate::store::CursorStore;

const FORMAT: u32 = 1;

/// What has been counted up to a position.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) checked: u64,
    pub(super) checked_is_upper_bound: bool,
    pub(super) orphans: u64,
    pub(super) rows: u64,
    pub(super) rows_is_lower_bound: bool,
    pub(super) in_flight: u64,
    pub(super) unconfirmed: u64,
}

/// A position as it is stored. A version that does not know a field of a newer one begins anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    format: u32,
    fingerprint: String,
    /// `None`: it came to the end.
    table: Option<String>,
    method: String,
    behind: Option<Vec<String>>,
    counts: Counts,
}

/// The name of a definition's cursor.
pub(super) fn name(definition: &str) -> String {
    format!("scan/{definition}")
}

/// The cursor of one scan.
#[derive(Debug)]
pub(super) struct Cursor {
    store: Option<Arc<dyn CursorStore>>,
    name: String,
    fingerprint: String,
    version: Option<u64>,
}

/// Where a scan goes on.
#[derive(Debug, Default)]
pub(super) struct Start {
    pub(super) place: Place,
    pub(super) counts: Counts,
    pub(super) resumed: bool,
}

impl Cursor {
    /// Reads the cursor. `resume`: goes on from it, where it fits what is there.
    pub(super) async fn open(
        store: Option<Arc<dyn CursorStore>>,
        definition: &LooseForeignKey,
        tables: &[Table],
        resume: bool,
    ) -> Result<(Self, Start)> {
        let name = name(&definition.name);
        let mut cursor = Self { store, name, fingerprint: definition.fingerprint(), version: None };
        let mut start = Start::default();
        if let Some(store) = &cursor.store
            && let Some(stored) = store.load(&cursor.name).await?
        {
            cursor.version = Some(stored.version);
            if resume {
                start = cursor.read(&stored.value, tables).unwrap_or_default();
            }
        }
        Ok((cursor, start))
    }

    fn read(&self, text: &str, tables: &[Table]) -> Option<Start> {
        let saved: Saved = serde_json::from_str(text).ok()?;
        if saved.format != FORMAT || saved.fingerprint != self.fingerprint {
            return None;
        }
        let place = match &saved.table {
            None => Place { leaf: tables.len(), behind: None },
            Some(name) => {
                let leaf = tables.iter().position(|table| table_text(&table.name) == *name)?;
                let same_way = tables.get(leaf).is_some_and(|table| table.method() == saved.method);
                if !same_way && saved.behind.is_some() {
                    return None;
                }
                Place { leaf, behind: saved.behind }
            }
        };
        Some(Start { place, counts: saved.counts, resumed: true })
    }

    /// Stores a position. False: another scan has moved the cursor since, and keeps it.
    pub(super) async fn save(&mut self, place: &Place, tables: &[Table], counts: &Counts) -> Result<bool> {
        let Some(store) = &self.store else { return Ok(true) };
        let table = tables.get(place.leaf);
        let saved = Saved {
            format: FORMAT,
            fingerprint: self.fingerprint.clone(),
            table: table.map(|table| table_text(&table.name)),
            method: table.map_or("", Table::method).to_owned(),
            behind: place.behind.clone(),
            counts: counts.clone(),
        };
        let text = serde_json::to_string(&saved).unwrap_or_default();
        match store.save(&self.name, &text, self.version).await? {
            Some(version) => self.version = Some(version),
            None => {
                tracing::info!(cursor = self.name, "another scan keeps its position there; this one goes on without");
                self.store = None;
                return Ok(false);
            }
        }
        Ok(true)
    }
}
