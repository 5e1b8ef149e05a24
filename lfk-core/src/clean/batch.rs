//! What happens to a piece of a batch after an attempt. Pure decisions.

use super::class::Class;
use super::pace::MIN_CAP;
use super::shape::Form;
use crate::key::Key;
use crate::retry::Reason;

/// Attempts at the same keys after deadlocks or serialisation failures, before they are made fewer.
const CONTENDED_TRIES: u8 = 3;

/// Keys that are worked on together, and what has been tried with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) keys: Vec<Key>,
    pub(crate) form: Form,
    /// Rows that a capped statement may touch.
    pub(crate) cap: usize,
    /// Whether children of these keys were still there after statements that should have taken them all.
    pub(crate) stuck: bool,
    /// Deadlocks and serialisation failures so far.
    contended: u8,
}

/// What to do with a piece whose attempt failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// The whole batch ends with the error.
    Fail,
    /// These instead, in this order. Never the same piece with the same size after a timeout.
    Again(Vec<Piece>),
    /// These keys cannot be done now.
    SetAside(Vec<Key>, Reason),
}

impl Piece {
    pub(crate) fn new(keys: Vec<Key>, form: Form, cap: usize) -> Self {
        Self { keys, form, cap, stuck: false, contended: 0 }
    }

    /// Keys whose children were still there: once more, waiting for locks.
    pub(crate) fn stuck(keys: Vec<Key>, cap: usize) -> Self {
        Self { stuck: true, ..Self::new(keys, Form::Whole, cap) }
    }

    /// Keys that have more rows than a capped statement takes: once more, with rows as the pace now has it, but never
    /// back at once to a size that has timed out.
    pub(crate) fn more(&self, keys: Vec<Key>, cap: usize) -> Self {
        Self { keys, cap: cap.min(self.cap * 2), ..self.clone() }
    }

    /// Decides after a failed attempt.
    pub(crate) fn after(self, class: Class) -> After {
        match class {
            Class::Stop | Class::Hold | Class::Block => After::Fail,
            Class::Slow => self.after_timeout(),
            Class::Locked => self.after_lock(),
            Class::Contended if self.contended < CONTENDED_TRIES => {
                After::Again(vec![Self { contended: self.contended + 1, ..self }])
            }
            Class::Contended => self.halve_or(Reason::Contended),
            Class::Poison => self.halve_or(Reason::Poisoned),
        }
    }

    /// Smaller in one dimension each time: from all rows, or very many, to a few, then fewer keys. How many rows the
    /// statement had before it is not known, so a cap that is only somewhat lower could mean the same rows again. It doubles
    /// with each round that goes well.
    fn after_timeout(mut self) -> After {
        let was_smallest = self.form == Form::Capped && self.cap <= MIN_CAP;
        self.form = Form::Capped;
        self.stuck = false;
        if was_smallest {
            return self.halve_or(Reason::TimedOut);
        }
        self.cap = MIN_CAP;
        After::Again(vec![self])
    }

    /// Everything that is not locked is done first; what is then still there is what the application holds.
    fn after_lock(mut self) -> After {
        if self.stuck || self.form == Form::Capped {
            return After::SetAside(self.keys, Reason::Locked);
        }
        self.form = Form::Capped;
        After::Again(vec![self])
    }

    fn halve_or(mut self, reason: Reason) -> After {
        if self.keys.len() < 2 {
            return After::SetAside(self.keys, reason);
        }
        let rest = self.keys.split_off(self.keys.len() / 2);
        let second = Self { keys: rest, ..self.clone() };
        After::Again(vec![self, second])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(n: usize) -> Vec<Key> {
        (0..n).map(|i| Key(vec![i.to_string()])).collect()
    }

    /// Everything a piece may touch at once; strictly less after every timeout.
    fn size(piece: &Piece) -> (usize, usize) {
        (piece.keys.len(), if piece.form == Form::Whole { usize::MAX } else { piece.cap })
    }

    #[test]
    fn a_timed_out_piece_is_never_tried_again_at_the_same_size() {
        let mut work = vec![Piece::new(keys(7), Form::Whole, 2000)];
        let mut set_aside = 0;
        let mut attempts = 0;
        while let Some(piece) = work.pop() {
            attempts += 1;
            assert!(attempts < 200, "it does not end");
            let before = size(&piece);
            match piece.after(Class::Slow) {
                After::Again(pieces) => {
                    for piece in pieces {
                        let after = size(&piece);
                        assert!(after.0 <= before.0 && after.1 <= before.1 && after != before, "{before:?} {after:?}");
                        work.push(piece);
                    }
                }
                After::SetAside(keys, reason) => {
                    assert_eq!(reason, Reason::TimedOut);
                    set_aside += keys.len();
                }
                After::Fail => panic!("a timeout fails nothing"),
            }
        }
        assert_eq!(set_aside, 7);
    }

    #[test]
    fn a_poisoned_batch_is_bisected_down_to_the_key() {
        let After::Again(halves) = Piece::new(keys(3), Form::Whole, 10).after(Class::Poison) else { panic!() };
        assert_eq!(halves.iter().map(|p| p.keys.len()).collect::<Vec<_>>(), [1, 2]);
        let After::SetAside(one, reason) = halves[0].clone().after(Class::Poison) else { panic!() };
        assert_eq!((one, reason), (keys(1), Reason::Poisoned));
    }

    #[test]
    fn locked_children_are_left_alone_first_and_set_aside_in_the_end() {
        let After::Again(next) = Piece::new(keys(3), Form::Whole, 10).after(Class::Locked) else { panic!() };
        assert_eq!(next[0].form, Form::Capped);
        let After::SetAside(all, reason) = Piece::stuck(keys(2), 10).after(Class::Locked) else { panic!() };
        assert_eq!((all.len(), reason), (2, Reason::Locked));
    }

    #[test]
    fn a_deadlock_is_tried_again_as_it_was_a_few_times() {
        let mut piece = Piece::new(keys(1), Form::Whole, 10);
        for _ in 0..CONTENDED_TRIES {
            let After::Again(mut next) = piece.after(Class::Contended) else { panic!() };
            piece = next.remove(0);
        }
        assert!(matches!(piece.after(Class::Contended), After::SetAside(_, Reason::Contended)));
    }
}
