//! The cursor store in Redis, which may be gone, restarted empty, slow, full, or closed to us.

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::future::join_all;
use lfk_core::{CursorStore, Error, ErrorKind, RedisStore};
use lfk_tests::{Authority, Cli, Mode, Pair, Proxy, Redis, eventually};

use crate::clean_support::{BUILDS, PROJECTS};
use crate::store_suite::{Client, conforms};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A store that waits for as long as it takes.
fn patient(url: &str) -> Result<RedisStore> {
    Ok(RedisStore::new(url)?.with_timeout(PATIENCE))
}

/// How each call fails. What was sent to a server that is slow may be carried out later, so they concern no other position.
async fn failures(store: &RedisStore) -> [Error; 4] {
    [
        store.load("failing").await.expect_err("it has worked"),
        store.save("failing", "1", None).await.expect_err("it has worked"),
        store.save("failing", "1", Some(1)).await.expect_err("it has worked"),
        store.forget("failing").await.expect_err("it has worked"),
    ]
}

/// Everything that can be seen of an error.
fn all_of(error: &Error) -> String {
    let source = error.source().map(|source| format!("{source} {source:?}"));
    format!("{error} {error:?} {:?} {source:?}", error.hint)
}

#[track_caller]
fn is(error: &Error, kind: ErrorKind, words: &str) {
    assert_eq!(error.kind, kind, "{error:?}");
    assert!(error.to_string().contains(words), "no {words:?} in: {error:?}");
    assert!(error.hint.is_some(), "no remedy: {error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn m07_the_store_in_redis_conforms_and_writes_nothing_but_its_positions() -> Result<()> {
    let redis = Redis::start(&[]).await?;
    let clients: [Client; 2] = [Arc::new(patient(&redis.url())?), Arc::new(patient(&redis.url())?)];
    conforms(&clients[0], &clients[1]).await?;
    let keys = redis.ask(&["KEYS", "*"])?;
    let keys: Vec<&str> = keys.lines().filter(|line| !line.starts_with(['*', '$'])).collect();
    assert!(keys.len() > 2 && keys.iter().all(|key| key.starts_with("lfk:position:")), "{keys:?}");
    assert_eq!(redis.ask(&["TTL", "lfk:position:count"])?, ":-1\r\n", "positions have no end");
    assert_eq!(redis.ask(&["DBSIZE"])?, format!(":{}\r\n", keys.len()));
    // One connection each, however many asked at the same time.
    let connections = redis.ask(&["CLIENT", "LIST"])?;
    assert_eq!(connections.matches("id=").count(), 3, "with the one that asks: {connections}");
    Ok(())
}

#[tokio::test]
async fn m07_prefixes_keep_positions_of_one_server_apart() -> Result<()> {
    let redis = Redis::start(&[]).await?;
    let [shop, blog] = ["shop", "blog"].map(|prefix| patient(&redis.url()).and_then(|s| Ok(s.with_prefix(prefix)?)));
    let (shop, blog) = (shop?, blog?);
    let one = shop.save("scan", "shop's", None).await?.context("refused")?;
    blog.save("scan", "blog's", None).await?.context("refused")?;
    assert_eq!(blog.save("scan", "", Some(one)).await?, None);
    blog.forget("scan").await?;
    assert_eq!(shop.load("scan").await?.context("gone")?.value, "shop's");
    assert_eq!(redis.ask(&["HGET", "shop:position:scan", "value"])?, "$6\r\nshop's\r\n");
    for prefix in ["", "a\nb", &"p".repeat(101)] {
        assert_eq!(RedisStore::new("redis://h")?.with_prefix(prefix).unwrap_err().kind, ErrorKind::Config);
    }
    Ok(())
}

#[tokio::test]
async fn f04_redis_gone_is_an_error_at_once_and_the_first_call_after_it_works() -> Result<()> {
    let redis = Redis::start(&[]).await?;
    let store = patient(&redis.url())?;
    store.save("scan", "1", None).await?.context("refused")?;
    redis.kill9()?;
    let begun = Instant::now();
    for _ in 0..3 {
        for error in failures(&store).await {
            is(&error, ErrorKind::Unreachable, "the cursor store in Redis cannot be reached");
            assert!(!all_of(&error).contains(&redis.home().display().to_string()), "{error:?}");
        }
    }
    assert!(begun.elapsed() < PATIENCE, "gone is not slow: nothing is waited for");
    // One that was made while there was none is no worse off.
    let later = patient(&redis.url())?;
    failures(&later).await;
    redis.restart()?;
    for store in [store, later] {
        assert_eq!(store.load("scan").await?, None);
    }
    Ok(())
}

#[tokio::test]
async fn f04_redis_restarted_empty_means_start_again_and_nobody_notices_the_restart() -> Result<()> {
    let redis = Redis::start(&[]).await?;
    let (one, two) = (patient(&redis.url())?, patient(&redis.url())?);
    for kind in ["load", "save of what is lost", "save of the first", "forget"] {
        let old = one.save("scan", "1", None).await?.context("refused")?;
        two.load("scan").await?.context("gone")?;
        redis.kill9()?;
        redis.restart()?;
        // Whatever comes first finds the broken connection, makes another, and is answered.
        match kind {
            "load" => assert_eq!(one.load("scan").await?, None),
            "save of what is lost" => assert_eq!(one.save("scan", "2", Some(old)).await?, None),
            "save of the first" => assert!(one.save("scan", "1", None).await?.is_some()),
            _ => one.forget("scan").await?,
        }
        one.forget("scan").await?;
        // Somebody starts again; who was there before cannot go on.
        let new = two.save("scan", "1", None).await?.context("refused")?;
        assert_eq!(one.save("scan", "2", Some(old)).await?, None, "{kind}");
        assert_eq!(one.load("scan").await?.context("gone")?.version, new, "{kind}");
        one.forget("scan").await?;
    }
    Ok(())
}

#[tokio::test]
async fn f04_redis_slow_is_an_error_after_the_timeout_and_harms_nobody_when_it_goes_on() -> Result<()> {
    const SHORT: Duration = Duration::from_millis(200);
    let redis = Redis::start(&[]).await?;
    let store = RedisStore::new(&redis.url())?.with_timeout(SHORT);
    let other = patient(&redis.url())?;
    let first = other.save("scan", "1", None).await?.context("refused")?;
    eventually("it answers in time", PATIENCE, async || Ok(store.load("scan").await.is_ok())).await?;

    let frozen = redis.freeze()?;
    let begun = Instant::now();
    let late = store.save("scan", "late", Some(first)).await.unwrap_err();
    assert!(begun.elapsed() >= SHORT, "it has given up too early");
    is(&late, ErrorKind::Unreachable, "has not answered within 200 ms");
    for error in failures(&store).await {
        is(&error, ErrorKind::Unreachable, "has not answered within 200 ms");
    }
    // Many at once wait side by side, not one after another.
    let begun = Instant::now();
    let answers = join_all((0..100).map(|_| store.load("scan"))).await;
    assert!(answers.iter().all(Result::is_err) && begun.elapsed() < 50 * SHORT, "{:?}", begun.elapsed());
    drop(frozen);

    // What was sent is carried out late or never: it moves nothing but the version it was made for.
    let mut moved = None;
    while moved.is_none() {
        let found = other.load("scan").await?.context("gone")?;
        moved = other.save("scan", "2", Some(found.version)).await?;
    }
    eventually("it answers again", PATIENCE, async || Ok(store.load("scan").await.is_ok())).await?;
    let kept = other.load("scan").await?.context("gone")?;
    assert_eq!((kept.value.as_str(), Some(kept.version)), ("2", moved));
    Ok(())
}

#[tokio::test]
async fn f04_a_redis_that_stalls_is_given_up_after_a_second_by_default() -> Result<()> {
    let redis = Redis::start(&[]).await?;
    let store = RedisStore::new(&redis.url())?;
    let _frozen = redis.freeze()?;
    let begun = Instant::now();
    is(&store.load("scan").await.unwrap_err(), ErrorKind::Unreachable, "has not answered within 1000 ms");
    assert!(begun.elapsed() >= Duration::from_secs(1));
    Ok(())
}

#[tokio::test]
async fn f04_a_save_whose_reply_is_lost_is_known_as_done() -> Result<()> {
    let redis = Redis::start_on_a_port().await?;
    let proxy = Proxy::before(redis.port()?).await?;
    let store = Arc::new(patient(&format!("redis://127.0.0.1:{}", proxy.port()))?);
    let direct = patient(&redis.url())?;
    let first = store.save("scan", "1", None).await?.context("refused")?;

    proxy.set(Mode::LoseReplies).await?;
    let saving = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.save("scan", "2", Some(first)).await }
    });
    let done = async || Ok(direct.load("scan").await?.is_some_and(|stored| stored.value == "2"));
    eventually("it is carried out", PATIENCE, done).await?;
    eventually("its reply is lost", PATIENCE, async || Ok(proxy.lost() == 1)).await?;
    proxy.set(Mode::Pass).await?;
    let version = saving.await??.context("it took itself for somebody else")?;
    assert_eq!(direct.load("scan").await?.context("gone")?.version, version);
    Ok(())
}

#[tokio::test]
async fn f04_a_user_needs_no_more_than_the_hint_says_and_a_wrong_password_is_never_shown() -> Result<()> {
    let redis = Redis::start(&[]).await?;
    let user = "ACL SETUSER lfk on >tell-nobody ~lfk:position:* +hmget +hget +hset +exists +del +eval";
    redis.ask(&user.split(' ').collect::<Vec<_>>())?;
    let allowed: Client = Arc::new(patient(&redis.url_as("lfk", "tell-nobody"))?);
    conforms(&allowed, &allowed).await?;
    let denied = redis.ask(&["ACL", "LOG"])?;
    assert_eq!(denied, "*0\r\n", "something was tried that is not allowed");

    let turned_away = |error: &Error| {
        is(error, ErrorKind::Unreachable, "turns away the user or the password");
        let said = all_of(error);
        assert!(said.contains(&user.replace(">tell-nobody", ">PASSWORD")), "the hint is not what was tested: {said}");
        for secret in ["tell-nobody", "wrong-secret", "lfk-nobody", &redis.home().display().to_string()] {
            assert!(!said.contains(secret), "{secret}: {said}");
        }
    };
    let closed = [("lfk", "wrong-secret"), ("lfk-nobody", "tell-nobody"), ("default", "wrong-secret")];
    redis.ask(&["ACL", "SETUSER", "narrow", "on", ">tell-nobody", "~lfk:position:*", "+hmget"])?;
    let narrow = patient(&redis.url_as("narrow", "tell-nobody"))?;
    assert_eq!(narrow.load("scan").await?, None);
    turned_away(&narrow.save("scan", "1", None).await.unwrap_err());
    let elsewhere = patient(&redis.url_as("lfk", "tell-nobody"))?.with_prefix("other")?;
    failures(&elsewhere).await.iter().for_each(turned_away);

    // From here on nobody comes in without a password, the test included.
    redis.ask(&["ACL", "SETUSER", "default", ">tell-nobody"])?;
    turned_away(&patient(&redis.url())?.load("scan").await.unwrap_err());
    for (user, password) in closed {
        failures(&patient(&redis.url_as(user, password))?).await.iter().for_each(turned_away);
    }
    assert_eq!(patient(&redis.url_as("default", "tell-nobody"))?.load("scan").await?, None);
    Ok(())
}

#[tokio::test]
async fn f04_a_redis_that_takes_no_writes_says_why() -> Result<()> {
    let redis = Redis::start(&[]).await?;
    let store = patient(&redis.url())?;
    let first = store.save("scan", "1", None).await?.context("refused")?;
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"])?;
    is(&store.save("scan", "2", Some(first)).await.unwrap_err(), ErrorKind::Unreachable, "is full");
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"])?;
    redis.ask(&["REPLICAOF", "127.0.0.1", "1"])?;
    is(&store.save("scan", "2", Some(first)).await.unwrap_err(), ErrorKind::Unreachable, "is a replica");
    redis.ask(&["REPLICAOF", "NO", "ONE"])?;
    assert_eq!(store.load("scan").await?.context("gone")?.value, "1");
    store.save("scan", "2", Some(first)).await?.context("refused")?;
    Ok(())
}

#[tokio::test]
async fn f04_what_lfk_did_not_write_is_left_alone() -> Result<()> {
    let redis = Redis::start(&[]).await?;
    let store = patient(&redis.url())?;
    for (words, found) in [
        (&["SET", "lfk:position:scan", "x"][..], false),
        (&["HSET", "lfk:position:scan", "version", "x", "value", "y"], false),
        (&["HSET", "lfk:position:scan", "version", "7"], false),
        (&["HSET", "lfk:position:scan", "a", "b"], true),
    ] {
        redis.ask(words)?;
        let before = redis.ask(&["DUMP", "lfk:position:scan"]).map_err(|e| e.to_string());
        match store.load("scan").await {
            Ok(None) if found => {}
            answer => is(&answer.unwrap_err(), ErrorKind::Refused, "that lfk did not write"),
        }
        let saved = store.save("scan", "1", None).await;
        assert!(!matches!(saved, Ok(Some(_))), "{words:?}: {saved:?}");
        assert_eq!(redis.ask(&["DUMP", "lfk:position:scan"]).map_err(|e| e.to_string()), before);
        store.forget("scan").await?;
    }
    Ok(())
}

#[tokio::test]
async fn f04_a_connection_is_encrypted_and_verified_where_the_url_says_so() -> Result<()> {
    let authority = Authority::new()?;
    let redis = Redis::start_encrypted(&authority.certify("127.0.0.1")?).await?;
    let url = format!("rediss://127.0.0.1:{}/1", redis.port()?);
    let trusting = patient(&format!("{url}?sslrootcert={}", authority.file().display()))?;
    let first = trusting.save("scan", "1", None).await?.context("refused")?;
    assert_eq!(trusting.load("scan").await?.context("gone")?.version, first);
    assert_eq!(redis.ask(&["DBSIZE"])?, ":0\r\n", "it is in database 1");
    // By a CA that nobody trusts; for another host; in plain text.
    let stranger = Authority::new()?;
    let untrusted = [
        url.clone(),
        format!("{url}?sslrootcert={}", stranger.file().display()),
        format!("{}?sslrootcert={}", url.replace("127.0.0.1", "localhost"), authority.file().display()),
        url.replace("rediss", "redis"),
    ];
    for url in untrusted {
        is(&patient(&url)?.load("scan").await.unwrap_err(), ErrorKind::Unreachable, "cannot be reached");
    }
    Ok(())
}

#[tokio::test]
async fn f04_cleaning_goes_on_while_the_configured_redis_is_away() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let cli = Cli::for_pair(
        &pair,
        r#"[[loose_foreign_key]]
        parent = "main:public.projects(id)"
        child = "ci:public.builds(project_id)"
        on_delete = "delete"
        [redis]
        url = "redis://lfk:tell-nobody@127.0.0.1:1/0"
        [cursors]
        store = "redis""#,
    )?;
    cli.run(["install"]).await?.expect(0);
    cli.run(["activate", "--all"]).await?.expect(0);
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let outcome = cli.run(["run", "--until-drained", "-vv"]).await?.expect(0);
    assert!(!format!("{outcome:?}").contains("tell-nobody"), "{outcome:?}");
    assert_eq!(pair.ci.scalar::<i64>("SELECT count(*) FROM builds WHERE project_id = 1").await?, 0);
    Ok(())
}
