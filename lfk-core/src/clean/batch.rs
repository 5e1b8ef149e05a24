//! What happens to a piece of a batch after an attempt. Pure decisions.

use super::class::Class;
use super::shape::Form;
use crate::key::Key;
use crate::retry::Reason;

/// Full capped statements on the same keys, before they are made fewer; a single key is wide then.
pub(super) const ROUNDS: u8 = 10;
/// Rows of a capped statement after a timeout.
const FEW_ROWS: usize = 20;
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
    /// Whether that second look took too long, and is gone on with in small pieces.
    doubted: bool,
    /// Deadlocks and serialisation failures so far.
    contended: u8,
    /// Full capped statements so far.
    rounds: u8,
    /// The children of these keys were counted, and no more of them are known to be wide.
    pub(super) counted: bool,
    /// What it is of a piece that was denied.
    half: Half,
}

/// Where a piece comes from when a right, a table or a column seemed to be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Half {
    /// Nowhere: it was never denied, or its own other half was not.
    #[default]
    Neither,
    /// The first half; the second follows it at once.
    First,
    /// The second half, and the first was denied.
    SecondOfDenied,
}

/// What to do with a piece whose attempt failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// The whole batch ends with the error.
    Fail,
    /// These instead, in this order. Never the same piece with the same size after a timeout.
    Again(Vec<Piece>),
    /// This one once more, but the second half, which was next anyway, before it.
    SecondFirst(Piece),
    /// These keys cannot be done now.
    SetAside(Vec<Key>, Reason),
}

impl Piece {
    pub(crate) fn new(keys: Vec<Key>, form: Form, cap: usize) -> Self {
        Self {
            keys,
            form,
            cap,
            stuck: false,
            doubted: false,
            contended: 0,
            rounds: 0,
            counted: false,
            half: Half::Neither,
        }
    }

    /// Keys whose children were still there: once more, waiting for locks.
    pub(crate) fn stuck(keys: Vec<Key>, cap: usize) -> Self {
        Self { stuck: true, ..Self::new(keys, Form::Whole, cap) }
    }

    /// Keys that have more rows than a capped statement takes: once more, with rows as the pace now has it, but never back
    /// at once to a size that has timed out. Where counting (`census.rs`) has not shown a wide key, it is sought by halving after
    /// some rounds, and set aside.
    pub(crate) fn more(self, keys: Vec<Key>, cap: usize) -> After {
        let next = Self { keys, cap: cap.min(self.cap * 2), rounds: self.rounds + 1, ..self };
        if next.rounds < ROUNDS {
            return After::Again(vec![next]);
        }
        Self { rounds: 0, counted: false, ..next }.halve_or(Reason::Wide)
    }

    /// Decides when every statement succeeded and children of `keys` are still there: a second look, which waits for locks;
    /// after that, and once small pieces of it change nothing any more, the keys are set aside.
    pub(crate) fn still_there(self, keys: Vec<Key>, rows: u64, late: bool) -> After {
        if self.doubted && rows > 0 {
            return After::Again(vec![Self { keys, ..self }]);
        }
        let reason = if late { Reason::Late } else { Reason::StillThere };
        if self.doubted {
            // Rows of one key that stay fill the statement, and it never comes to those of another.
            return Self { keys, ..self }.halve_or(reason);
        }
        if self.stuck {
            return After::SetAside(keys, reason);
        }
        After::Again(vec![Self::stuck(keys, self.cap)])
    }

    /// Decides after a failed attempt. `excused`: the rights and the schema are known to do, because other keys of the batch
    /// were cleaned, or because these keys failed so among others before.
    pub(crate) fn after(mut self, class: Class, excused: bool) -> After {
        if class == Class::Block && !excused {
            return self.after_denial();
        }
        self.half = Half::Neither;
        match class {
            Class::Stop | Class::Hold => After::Fail,
            Class::Block => self.halve_or(Reason::Poisoned),
            Class::Slow => self.after_timeout(),
            Class::Locked => self.after_lock(),
            Class::Contended if self.contended < CONTENDED_TRIES => {
                After::Again(vec![Self { contended: self.contended + 1, ..self }])
            }
            Class::Contended => self.halve_or(Reason::Contended),
            Class::Poison => self.halve_or(Reason::Poisoned),
        }
    }

    /// A right that is missing is missing for both halves: then the definition has to wait, and no key is to blame. A
    /// trigger that is denied something for the sake of one key is denied it in one half only.
    fn after_denial(mut self) -> After {
        match self.half {
            Half::SecondOfDenied => After::Fail,
            Half::First => {
                self.half = Half::Neither;
                After::SecondFirst(self)
            }
            Half::Neither if self.keys.len() < 2 => After::Fail,
            Half::Neither => {
                let rest = self.keys.split_off(self.keys.len() / 2);
                let second = Self { keys: rest, ..self.clone() };
                After::Again(vec![Self { half: Half::First, ..self }, second])
            }
        }
    }

    /// The second half, once the first was denied.
    pub(crate) fn of_denied(self) -> Self {
        Self { half: Half::SecondOfDenied, ..self }
    }

    /// Smaller in one dimension each time: from all rows, or very many, to a few, then fewer still, then fewer keys. How many
    /// rows the statement had before it is not known, so a cap that is only somewhat lower could mean the same rows again.
    /// It doubles with each round that goes well.
    fn after_timeout(mut self) -> After {
        let was_smallest = self.form == Form::Capped && self.cap <= 1;
        if was_smallest {
            return self.halve_or(Reason::TimedOut);
        }
        self.cap = if self.form == Form::Capped { (self.cap / 4).clamp(1, FEW_ROWS) } else { FEW_ROWS };
        self.form = Form::Capped;
        // A second look that took too long is gone on with in small pieces; what they leave is still there.
        self.doubted |= self.stuck;
        self.stuck = false;
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
            match piece.after(Class::Slow, false) {
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
                After::Fail | After::SecondFirst(_) => panic!("a timeout fails nothing"),
            }
        }
        assert_eq!(set_aside, 7);
    }

    #[test]
    fn a_poisoned_batch_is_bisected_down_to_the_key() {
        let After::Again(halves) = Piece::new(keys(3), Form::Whole, 10).after(Class::Poison, false) else { panic!() };
        assert_eq!(halves.iter().map(|p| p.keys.len()).collect::<Vec<_>>(), [1, 2]);
        let After::SetAside(one, reason) = halves[0].clone().after(Class::Poison, false) else { panic!() };
        assert_eq!((one, reason), (keys(1), Reason::Poisoned));
    }

    #[test]
    fn locked_children_are_left_alone_first_and_set_aside_in_the_end() {
        let After::Again(next) = Piece::new(keys(3), Form::Whole, 10).after(Class::Locked, false) else { panic!() };
        assert_eq!(next[0].form, Form::Capped);
        let After::SetAside(all, reason) = Piece::stuck(keys(2), 10).after(Class::Locked, false) else { panic!() };
        assert_eq!((all.len(), reason), (2, Reason::Locked));
    }

    #[test]
    fn a_key_that_fills_statement_after_statement_is_set_aside_as_wide() {
        let mut work = vec![Piece::new(keys(4), Form::Capped, 2000)];
        let mut wide = Vec::new();
        let mut statements = 0;
        while let Some(piece) = work.pop() {
            statements += 1;
            // Only the key 2 has children without end.
            let more: Vec<Key> = piece.keys.iter().filter(|k| k.0 == ["2"]).cloned().collect();
            match if more.is_empty() { After::Again(vec![]) } else { piece.more(more, 2000) } {
                After::Again(pieces) => work.extend(pieces),
                After::SetAside(keys, reason) => wide.extend(keys.into_iter().map(|k| (k, reason))),
                After::Fail | After::SecondFirst(_) => panic!("a full statement fails nothing"),
            }
        }
        assert_eq!(wide, [(Key(vec!["2".to_owned()]), Reason::Wide)]);
        assert!(statements <= usize::from(ROUNDS));
    }

    #[test]
    fn children_that_a_slow_trigger_keeps_come_to_an_end() {
        // Nothing is ever deleted, and a statement of more than 20 rows takes too long.
        let mut work = vec![Piece::new(keys(1), Form::Capped, 2000)];
        let mut reasons = Vec::new();
        let mut statements = 0;
        while let Some(piece) = work.pop() {
            statements += 1;
            assert!(statements < 20, "it does not end");
            let few = piece.form == Form::Capped && piece.cap <= FEW_ROWS;
            let keys = piece.keys.clone();
            match if few { piece.still_there(keys, 0, false) } else { piece.after(Class::Slow, false) } {
                After::Again(pieces) => work.extend(pieces),
                After::SetAside(_, reason) => reasons.push(reason),
                After::Fail | After::SecondFirst(_) => panic!("nothing failed"),
            }
        }
        assert_eq!(reasons, [Reason::StillThere]);
    }

    #[test]
    fn children_that_a_slow_trigger_keeps_hold_up_no_other_key() {
        let bad = Key(vec!["2".to_owned()]);
        let mut work = vec![Piece::new(keys(4), Form::Capped, 2000)];
        let (mut aside, mut statements) = (Vec::new(), 0);
        while let Some(piece) = work.pop() {
            statements += 1;
            assert!(statements < 40, "it does not end");
            // Only small statements end at all, and while they have rows of the key 2 they come to no others.
            let few = piece.form == Form::Capped && piece.cap <= FEW_ROWS;
            let left = if piece.keys.contains(&bad) { piece.keys.clone() } else { vec![] };
            match if !few {
                piece.after(Class::Slow, false)
            } else if left.is_empty() {
                continue;
            } else {
                piece.still_there(left, 0, false)
            } {
                After::Again(pieces) => work.extend(pieces),
                After::SetAside(keys, reason) => aside.push((keys, reason)),
                After::Fail | After::SecondFirst(_) => panic!("nothing failed"),
            }
        }
        assert_eq!(aside, [(vec![bad], Reason::StillThere)]);
    }

    #[test]
    fn a_deadlock_is_tried_again_as_it_was_a_few_times() {
        let mut piece = Piece::new(keys(1), Form::Whole, 10);
        for _ in 0..CONTENDED_TRIES {
            let After::Again(mut next) = piece.after(Class::Contended, false) else { panic!() };
            piece = next.remove(0);
        }
        assert!(matches!(piece.after(Class::Contended, false), After::SetAside(_, Reason::Contended)));
    }

    /// Works through a batch in which some keys are denied, as the cleaner does. `None`: the definition is blocked.
    fn clean_with(n: usize, denied: &[usize], has_rows: bool) -> (Option<Vec<Key>>, usize) {
        let bad: Vec<Key> = denied.iter().map(|i| Key(vec![i.to_string()])).collect();
        let mut work = vec![Piece::new(keys(n), Form::Whole, 10)];
        let (mut set_aside, mut statements, mut excused) = (Vec::new(), 0, false);
        while let Some(piece) = work.pop() {
            statements += 1;
            if !piece.keys.iter().any(|k| bad.contains(k)) {
                excused |= has_rows;
                continue;
            }
            match piece.after(Class::Block, excused) {
                After::Fail => return (None, statements),
                After::Again(pieces) => work.extend(pieces.into_iter().rev()),
                After::SecondFirst(first) => {
                    let second = work.pop().unwrap();
                    work.extend([first, second.of_denied()]);
                }
                After::SetAside(keys, reason) => {
                    assert_eq!(reason, Reason::Poisoned);
                    set_aside.extend(keys);
                }
            }
        }
        (Some(set_aside), statements)
    }

    #[test]
    fn what_is_denied_to_both_halves_blocks_the_definition_at_once() {
        let all: Vec<usize> = (0..500).collect();
        assert_eq!(clean_with(500, &all, true), (None, 3));
        assert_eq!(clean_with(1, &[0], true), (None, 1));
        assert_eq!(clean_with(2, &[0, 1], true), (None, 3));
    }

    #[test]
    fn what_is_denied_to_one_key_among_others_is_that_keys_fault() {
        for bad in [0, 3, 7] {
            let (set_aside, statements) = clean_with(8, &[bad], true);
            assert_eq!(set_aside, Some(vec![Key(vec![bad.to_string()])]));
            assert!(statements <= 8, "{statements}");
            assert_eq!(clean_with(8, &[bad], false).0, None, "nobody had rows: nothing is proven");
        }
    }
}
