//! What every cursor store must do: one suite, run over each of them by `cursor_stores`.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use lfk_core::{CursorStore, ErrorKind, Stored};
use tokio::sync::Barrier;

/// A client of a store.
pub type Client = Arc<dyn CursorStore>;

/// Everything, over two clients of one store that is empty.
pub async fn conforms(one: &Client, two: &Client) -> Result<()> {
    a_new_store_knows_nothing(one).await.context("a new store knows nothing")?;
    what_is_saved_is_loaded_by_everybody(one, two).await.context("what is saved is loaded by everybody")?;
    only_who_knows_the_version_saves(one, two).await.context("only who knows the version saves")?;
    a_version_from_before_a_loss_is_worth_nothing(one, two).await.context("a version from before a loss")?;
    names_do_not_meet(one).await.context("names do not meet")?;
    values_come_back_as_they_were(one, two).await.context("values come back as they were")?;
    what_cannot_be_kept_is_refused(one).await.context("what cannot be kept is refused")?;
    one_of_many_wins(one, two).await.context("one of many wins")?;
    nothing_is_lost_between_many(one, two).await.context("nothing is lost between many")
}

async fn version(store: &Client, name: &str) -> Result<Option<u64>> {
    Ok(store.load(name).await?.map(|stored| stored.version))
}

async fn a_new_store_knows_nothing(store: &Client) -> Result<()> {
    assert_eq!(store.load("new").await?, None);
    store.forget("new").await?;
    assert_eq!(store.save("new", "x", Some(1)).await?, None, "there is nothing to move");
    assert_eq!(store.load("new").await?, None, "what was refused was kept");
    Ok(())
}

async fn what_is_saved_is_loaded_by_everybody(one: &Client, two: &Client) -> Result<()> {
    let first = one.save("shared", "a", None).await?.context("refused")?;
    for store in [one, two] {
        assert_eq!(store.load("shared").await?, Some(Stored { value: "a".to_owned(), version: first }));
    }
    let second = two.save("shared", "b", Some(first)).await?.context("refused")?;
    assert_eq!(one.load("shared").await?, Some(Stored { value: "b".to_owned(), version: second }));
    // The same value is a move, too.
    let third = one.save("shared", "b", Some(second)).await?.context("refused")?;
    assert_eq!(HashSet::from([first, second, third]).len(), 3, "a version was given twice");
    one.forget("shared").await?;
    assert_eq!(two.load("shared").await?, None);
    two.forget("shared").await?;
    Ok(())
}

async fn only_who_knows_the_version_saves(one: &Client, two: &Client) -> Result<()> {
    let first = one.save("fenced", "a", None).await?.context("refused")?;
    let second = two.save("fenced", "b", Some(first)).await?.context("refused")?;
    let kept = Some(Stored { value: "b".to_owned(), version: second });
    // Also what is near to it, in case somebody counts or compares by size.
    let near = [0, 1, second - 1, second + 1, u64::MAX, u64::MAX - 1].map(Some);
    for stale in [Some(first), None].into_iter().chain(near) {
        assert_eq!(one.save("fenced", "stale", stale).await?, None, "{stale:?}");
        assert_eq!(one.load("fenced").await?, kept, "{stale:?}");
    }
    Ok(())
}

async fn a_version_from_before_a_loss_is_worth_nothing(one: &Client, two: &Client) -> Result<()> {
    let mut seen = HashSet::new();
    for _ in 0..20 {
        let first = one.save("lost", "a", None).await?.context("refused")?;
        let second = one.save("lost", "a", Some(first)).await?.context("refused")?;
        two.forget("lost").await?;
        assert_eq!(one.save("lost", "b", Some(second)).await?, None, "what is lost cannot be moved");
        ensure!(seen.insert(first) && seen.insert(second), "a version came back");
    }
    // The same steps lead to other versions: whoever stopped in between cannot go on.
    let first = two.save("lost", "a", None).await?.context("refused")?;
    for old in &seen {
        assert_eq!(one.save("lost", "b", Some(*old)).await?, None);
    }
    assert_eq!(version(one, "lost").await?, Some(first));
    Ok(())
}

async fn names_do_not_meet(store: &Client) -> Result<()> {
    let longest = "n".repeat(250);
    let umlauts = "ü".repeat(125);
    let names = [
        "a",
        "A",
        " a",
        "a ",
        "a:b",
        "a/b",
        "../a",
        "*",
        "a*",
        "a?",
        "[a]",
        "%",
        "_",
        "'",
        "\"; DROP",
        "\\",
        "{a}b",
        "{b}a",
        "${A}",
        "ä",
        "a\u{308}",
        "名前",
        "🦀",
        "version",
        "value",
        &longest,
        &longest[1..],
        &umlauts,
    ];
    for name in names {
        store.save(name, name, None).await?.with_context(|| format!("refused: {name}"))?;
    }
    for name in names {
        assert_eq!(store.load(name).await?.with_context(|| format!("gone: {name}"))?.value, name);
    }
    for (at, name) in names.iter().enumerate() {
        store.forget(name).await?;
        for (other, kept) in names.iter().enumerate() {
            assert_eq!(store.load(kept).await?.is_some(), other > at, "{kept} after {name} was forgotten");
        }
    }
    Ok(())
}

async fn values_come_back_as_they_were(one: &Client, two: &Client) -> Result<()> {
    let control: String = ('\u{1}'..'\u{a0}').collect();
    let largest = "0123456789abcdef".repeat(4096);
    let values = [
        "",
        " ",
        "\n",
        "\r\n a \t",
        "0",
        "-0",
        "1e400",
        "nil",
        "null",
        "NULL",
        "false",
        "'",
        "\\x00",
        "\\",
        "{\"after\":[\"1\",null]}",
        "$1",
        "ä🦀\u{fffd}\u{feff}\u{10ffff}",
        &control,
        &largest,
    ];
    let mut at = None;
    for value in values {
        let moved = one.save("value", value, at).await?.context("refused")?;
        assert_eq!(two.load("value").await?, Some(Stored { value: value.to_owned(), version: moved }));
        at = Some(moved);
    }
    Ok(())
}

async fn what_cannot_be_kept_is_refused(store: &Client) -> Result<()> {
    let kind = |refused: Option<lfk_core::Error>| refused.map(|error| error.kind);
    for name in [String::new(), "n".repeat(251), "ü".repeat(126), "a\0".into(), "a\nb".into(), "\u{7f}".into()] {
        let refused = [
            kind(store.load(&name).await.err()),
            kind(store.save(&name, "a", None).await.err()),
            kind(store.forget(&name).await.err()),
        ];
        assert_eq!(refused, [Some(ErrorKind::Config); 3], "{name:?}");
    }
    for value in ["a".repeat(64 * 1024 + 1), "ü".repeat(32 * 1024 + 1), "a\0b".to_owned()] {
        assert_eq!(kind(store.save("refused", &value, None).await.err()), Some(ErrorKind::Config));
    }
    assert_eq!(store.load("refused").await?, None);
    Ok(())
}

/// Saves at the same moment on top of the same version.
async fn one_of_many_wins(one: &Client, two: &Client) -> Result<()> {
    const MANY: usize = 24;
    let mut expected = None;
    // The first round is about who makes it, all others about who moves it.
    for round in 0..10 {
        let barrier = Arc::new(Barrier::new(MANY));
        let tasks = (0..MANY).map(|number| {
            let (store, barrier) = (Arc::clone(if number % 2 == 0 { one } else { two }), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                store.save("race", &format!("{round}.{number}"), expected).await
            })
        });
        let mut won = Vec::new();
        for (number, answer) in try_join_all(tasks).await?.into_iter().enumerate() {
            won.extend(answer?.map(|version| (format!("{round}.{number}"), version)));
        }
        let [(value, version)] = won.as_slice() else { anyhow::bail!("round {round} was won by {won:?}") };
        assert_eq!(two.load("race").await?, Some(Stored { value: value.clone(), version: *version }));
        expected = Some(*version);
    }
    Ok(())
}

/// Each of many counts up by load and save: the sum is what they have done.
async fn nothing_is_lost_between_many(one: &Client, two: &Client) -> Result<()> {
    const MANY: usize = 8;
    const EACH: usize = 10;
    let barrier = Arc::new(Barrier::new(MANY));
    let tasks = (0..MANY).map(|number| {
        let (store, barrier) = (Arc::clone(if number % 2 == 0 { one } else { two }), Arc::clone(&barrier));
        tokio::spawn(async move {
            barrier.wait().await;
            let mut done = 0;
            while done < EACH {
                let found = store.load("count").await?;
                let count: usize = found.as_ref().map_or(Ok(0), |stored| stored.value.parse())?;
                let moved = store.save("count", &(count + 1).to_string(), found.map(|stored| stored.version)).await?;
                done += usize::from(moved.is_some());
            }
            anyhow::Ok(())
        })
    });
    for ended in try_join_all(tasks).await? {
        ended?;
    }
    let counted = one.load("count").await?.context("gone")?;
    assert_eq!(counted.value, (MANY * EACH).to_string());
    Ok(())
}
