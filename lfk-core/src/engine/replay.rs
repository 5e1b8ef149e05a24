//! Looking again.

use super::Engine;
use crate::error::Result;
use crate::replay::{self, Since};
use crate::report::Replayed;

impl Engine {
    /// Sends definitions back in the log, so that every key is looked at again whose delete was committed after `since`, or whose
    /// second visit was due after it. For a children's database that was restored from a backup or has failed over:
    /// what was cleaned since is back in it. Cursors never go forward, and a replay that was not needed changes nothing but
    /// time spent.
    ///
    /// Active definitions begin at once, paused ones when they are activated. One that observes is left as it is, because
    /// activating goes back to the start of the log. Workers in the middle of a batch lose their lease, as with
    /// [`Engine::set_state`].
    ///
    /// Keys that [`Engine::set_state`] `from_now` left alone, or that were dropped from those set aside, are keys like any other
    /// here: a time before such a decision undoes it.
    ///
    /// `restored`: the children's database is not of the time that the parents' side knows, and a person says that it is the right
    /// one all the same. Without this such a pair stays refused. Identities are compared in any case: a copy is refused.
    ///
    /// # Errors
    /// [`Refused`](crate::ErrorKind::Refused), before anything was changed for any of them, when `since` lies in the future or
    /// before what a log still keeps, which the hint then names. `TimedOut` when a cursor stays locked;
    /// definitions before the one that failed have gone back.
    ///
    /// # Cancellation
    /// Each definition goes back in one transaction, both of its cursors or none; a crash leaves the rest as it was.
    pub async fn replay(&self, names: &[String], since: Since, restored: bool) -> Result<Vec<Replayed>> {
        let chosen = self.named(names)?;
        let mut plans = Vec::with_capacity(chosen.len());
        for definition in chosen {
            let home = self.database(&definition.parent.database)?;
            let away = if restored { Some(self.database(&definition.child.database)?) } else { None };
            plans.push(replay::Replay::plan(definition, home, away, since).await?);
        }
        let mut done = Vec::with_capacity(plans.len());
        for plan in plans {
            done.push(plan.run(self.inner.patience).await?);
        }
        Ok(done)
    }
}
