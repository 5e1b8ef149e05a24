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
}

impl Piece {
    pub(super) fn new(keys: Vec<Key>) -> Self {
        Self { keys, contended: 0 }
    }

    pub(super) fn after(self, error: &Error) -> After {
        match classify(error) {
            Class::Stop | Class::Hold | Class::Block => After::Fail,
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
        After::Again(vec![self, Self::new(rest)])
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
        assert_eq!(Piece::new(keys(4)).after(&error), After::Fail);
        let After::Again(halves) = Piece::new(keys(5)).halve_or(Reason::Poisoned) else { panic!("it is halved") };
        assert_eq!(halves.iter().map(|piece| piece.keys.len()).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(Piece::new(keys(1)).halve_or(Reason::Poisoned), After::SetAside(keys(1), Reason::Poisoned));
    }
}
