//! What happens to a piece of a batch whose attempt failed. Pure decisions.

use lfk_core::Error;
use lfk_core::parts::{Class, Key, Reason, classify};

/// Attempts at the same keys after deadlocks or serialisation failures, before they are made fewer.
const CONTENDED_TRIES: u8 = 3;

/// Keys that are worked on together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) keys: Vec<Key>,
    /// Deadlocks and serialisation failures so far.
    contended: u8,
    /// Whether it is known that single rows are to blame for what it was denied, or what it was cut from.
    excused: bool,
}

/// What to do with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The whole batch ends with the error.
    Fail,
    /// These instead, in this order: never the same keys at the same size after a timeout.
    Again(Vec<Piece>),
    /// These keys cannot be done now.
    SetAside(Vec<Key>, Reason),
    /// A right, a table or a column seems to be missing. That would be true of every row; or one row is to blame, whose
    /// expression or trigger has raised the same.
    Doubt(Piece),
}

impl Piece {
    pub(super) fn new(keys: Vec<Key>) -> Self {
        Self { keys, contended: 0, excused: false }
    }

    /// Single rows are to blame for what it was denied.
    pub(super) fn excused(self) -> Self {
        Self { excused: true, ..self }
    }

    pub(super) fn is_excused(&self) -> bool {
        self.excused
    }

    /// The first keys, and what is left behind them.
    pub(super) fn at_most(mut self, keys: usize) -> (Self, Option<Self>) {
        if self.keys.len() <= keys.max(1) {
            return (self, None);
        }
        let rest = self.keys.split_off(keys.max(1));
        let rest = Self { contended: 0, keys: rest, excused: self.excused };
        (self, Some(rest))
    }

    /// Decides after a failed attempt. `excused`: rights and schema are known to do for other rows.
    pub(super) fn after(self, error: &Error, excused: bool) -> After {
        match classify(error) {
            Class::Stop | Class::Hold => After::Fail,
            Class::Block if !excused => After::Doubt(self),
            Class::Block => self.halve_or(Reason::Poisoned),
            Class::Slow => self.halve_or(Reason::TimedOut),
            Class::Locked => self.halve_or(Reason::Locked),
            Class::Poison => self.halve_or(Reason::Poisoned),
            Class::Contended if self.contended < CONTENDED_TRIES => {
                After::Again(vec![Self { contended: self.contended + 1, ..self }])
            }
            Class::Contended => self.halve_or(Reason::Contended),
        }
    }

    fn halve_or(mut self, reason: Reason) -> After {
        if self.keys.len() < 2 {
            return After::SetAside(self.keys, reason);
        }
        let rest = self.keys.split_off(self.keys.len() / 2);
        self.contended = 0;
        let rest = Self { keys: rest, ..self };
        After::Again(vec![self, rest])
    }
}

#[cfg(test)]
mod tests {
    use lfk_core::ErrorKind;

    use super::*;

    fn keys(n: usize) -> Vec<Key> {
        (0..n).map(|i| Key(vec![i.to_string()])).collect()
    }

    #[test]
    fn a_key_that_is_to_blame_is_found_among_many() {
        // An error without a code is for a person; the class of a poisoned key is tested against a server.
        let error = Error::new(ErrorKind::Unreachable, "away");
        assert_eq!(Piece::new(keys(4)).after(&error, true), After::Fail);
        let After::Again(halves) = Piece::new(keys(5)).halve_or(Reason::Poisoned) else { panic!("it is halved") };
        assert_eq!(halves.iter().map(|piece| piece.keys.len()).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(Piece::new(keys(1)).halve_or(Reason::Poisoned), After::SetAside(keys(1), Reason::Poisoned));
    }

    #[test]
    fn what_is_known_of_a_piece_is_known_of_its_parts() {
        let After::Again(halves) = Piece::new(keys(4)).excused().halve_or(Reason::Poisoned) else { panic!() };
        assert!(halves.len() == 2 && halves.iter().all(|half| half.excused));
        let (first, rest) = Piece::new(keys(4)).excused().at_most(1);
        assert!(first.excused && rest.is_some_and(|rest| rest.excused));
    }

    #[test]
    fn what_may_be_true_of_every_row_is_doubted_until_another_row_went_well() {
        // As the driver's own errors, it is for a person; those of servers are tested against servers.
        let error = Error::new(ErrorKind::Sql, "it cannot be read");
        assert_eq!(Piece::new(keys(4)).after(&error, false), After::Doubt(Piece::new(keys(4))));
        let After::Again(halves) = Piece::new(keys(4)).after(&error, true) else { panic!("it is halved") };
        assert_eq!(halves.len(), 2);
        assert_eq!(Piece::new(keys(1)).after(&error, true), After::SetAside(keys(1), Reason::Poisoned));
    }

    #[test]
    fn a_piece_is_cut_to_what_goes_at_once() {
        let (first, rest) = Piece::new(keys(5)).at_most(2);
        assert_eq!((first.keys.len(), rest.map(|rest| rest.keys.len())), (2, Some(3)));
        assert_eq!(Piece::new(keys(1)).at_most(0), (Piece::new(keys(1)), None));
    }
}
