//! Which consumers a worker takes next. Pure decisions.

use std::time::Instant;

use uuid::Uuid;

/// Which of a definition's cursors it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// The first visit.
    Head,
    /// The second one, `settle_after` later.
    Trailing,
}

/// A consumer that has work.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// The consumer.
    pub(crate) name: String,
    pub(crate) definition: String,
    pub(crate) lane: Lane,
    /// Whether this worker knows the definition, is not at work on it, and is not waiting after a failure.
    pub(crate) may_run: bool,
    /// Who holds its lease now.
    pub(crate) holder: Option<Uuid>,
    /// Whether its row says that something was the matter.
    pub(crate) troubled: bool,
    /// When this worker served it last.
    pub(crate) served: Option<Instant>,
}

/// Takes at most `free` consumers, and no more than this worker's share: the consumers with work divided by the live
/// workers, rounded up. Who waited longest comes first.
pub(crate) fn pick(candidates: Vec<Candidate>, me: Uuid, live_workers: usize, free: usize) -> Vec<Candidate> {
    let share = candidates.len().div_ceil(live_workers.max(1));
    let held = candidates.iter().filter(|c| c.holder == Some(me)).count();
    let room = share.saturating_sub(held).min(free);
    let mut open: Vec<Candidate> = candidates.into_iter().filter(|c| c.may_run && c.holder.is_none()).collect();
    open.sort_by(|a, b| (a.served, &a.name).cmp(&(b.served, &b.name)));
    open.truncate(room);
    open
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn candidate(name: &str, holder: Option<Uuid>, served: Option<Instant>) -> Candidate {
        Candidate {
            name: name.to_owned(),
            definition: name.to_owned(),
            lane: Lane::Head,
            may_run: true,
            holder,
            troubled: false,
            served,
        }
    }

    #[test]
    fn a_worker_takes_its_share_and_leaves_the_rest_to_others() {
        let me = Uuid::new_v4();
        let all = || (0..5).map(|n| candidate(&n.to_string(), None, None)).collect::<Vec<_>>();
        assert_eq!(pick(all(), me, 2, 10).len(), 3);
        assert_eq!(pick(all(), me, 1, 10).len(), 5);
        assert_eq!(pick(all(), me, 9, 10).len(), 1);
        let mut mixed = all();
        mixed[0].holder = Some(me);
        mixed[1].holder = Some(Uuid::new_v4());
        assert_eq!(pick(mixed, me, 2, 10).len(), 2);
    }

    #[test]
    fn who_waited_longest_comes_first() {
        let now = Instant::now();
        let early = now.checked_sub(Duration::from_secs(9));
        let all =
            vec![candidate("late", None, Some(now)), candidate("early", None, early), candidate("never", None, None)];
        let names: Vec<String> = pick(all, Uuid::new_v4(), 1, 2).into_iter().map(|c| c.name).collect();
        assert_eq!(names, ["never", "early"]);
    }
}
