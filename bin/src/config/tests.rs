use std::num::NonZeroU8;

use lfk_core::OnDelete;

use super::*;

const HEAD: &str = r#"format = 1
[database.main]
url = "${MAIN_URL}"
[database.ci]
url = "postgres://u:hunter2@127.0.0.1:1/ci"
"#;

fn environment(name: &str) -> Result<String, VarError> {
    match name {
        "MAIN_URL" => Ok("postgres://main.example/app".to_owned()),
        "EMPTY" => Ok(String::new()),
        "BAD_URL" => Ok("mysql://u:hunter2@h/db".to_owned()),
        _ => Err(VarError::NotPresent),
    }
}

fn read(input: &str) -> Result<Config, Failure> {
    // Pools need a runtime around them, though they touch no network.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    Config::parse("lfk.toml", input, &environment)
}

/// The complaints about HEAD and `rest`, each as `message | hint`.
fn complaints(rest: &str) -> Vec<String> {
    complaints_about(&format!("{HEAD}{rest}"))
}

fn complaints_about(input: &str) -> Vec<String> {
    let failure = read(input).unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
    let all: Vec<String> =
        failure.complaints.iter().map(|c| format!("{} | {}", c.message, c.hints.join(" "))).collect();
    assert!(!all.concat().contains("hunter2"), "{all:?}");
    all
}

fn one(rest: &str) -> String {
    let all = complaints(rest);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.into_iter().next().unwrap()
}

#[track_caller]
fn assert_says(said: &str, place: &str, words: &[&str]) {
    assert!(said.starts_with(&format!("lfk.toml:{place}:")), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
}

fn key(rest: &str) -> String {
    format!(
        "[[loose_foreign_key]]\nparent = \"main:public.projects(id)\"\nchild = \"ci:public.builds(project_id)\"\n{rest}\n"
    )
}

#[test]
fn a_whole_file_is_read() {
    let config = read(&format!(
        r#"{HEAD}
rows_per_second = 5_000
statements_per_second = 0x10
duty_percent = 50
[[loose_foreign_key]]
parent    = "main:public.projects(id)"
child     = "ci:public.ci_builds(project_id)"
on_delete = "delete"
[[loose_foreign_key]]
name      = "old notes"
parent    = "main:public.posts(id)"
child     = "ci:public.notes(noteable_id)"
where     = {{ noteable_type = "Post", "Odd Column" = -7 }}
on_delete = {{ set = {{ status = 4, gone = true, share = 1.50, by = "${{WHO:-lfk}}" }} }}
[[loose_foreign_key]]
parent    = "ci:public.ci_builds(id)"
child     = "ci:public.traces(build_id)"
on_delete = "set_null"
"#
    ))
    .unwrap();
    let limits: Vec<_> = config.databases.iter().map(|d| (d.name(), d.limits())).collect();
    let limited = Limits::new(Some(5_000), Some(16)).with_duty_percent(NonZeroU8::new(50).unwrap());
    assert_eq!(limits, [("ci", limited), ("main", Limits::default())]);
    let names: Vec<&str> = config.definitions.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["ci_builds.project_id", "old notes", "traces.build_id"]);
    let notes = &config.definitions[1];
    let condition: Vec<_> = notes.condition.iter().map(|(c, v)| (c.as_str(), v.as_str())).collect();
    assert_eq!(condition, [("Odd Column", "-7"), ("noteable_type", "Post")]);
    let OnDelete::Set(values) = &notes.on_delete else { panic!("{:?}", notes.on_delete) };
    let values: Vec<_> = values.iter().map(|(c, v)| (c.as_str(), v.as_deref().unwrap())).collect();
    assert_eq!(values, [("by", "lfk"), ("gone", "true"), ("share", "1.50"), ("status", "4")]);
    assert_eq!(config.definitions[2].on_delete, OnDelete::SetNull);
}

#[test]
fn a_share_of_the_time_is_a_percentage() {
    for wrong in ["0", "101", "256", "0.5", "\"20\""] {
        let said = one(&format!("duty_percent = {wrong}\n{}", key("on_delete = \"delete\"")));
        assert_says(&said, "6:16", &["`duty_percent` is not a whole number from 1 to 100"]);
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_likely_one() {
    assert_says(
        &one("[[loose_foreign_kye]]\nparent = 1"),
        "6:3",
        &["`loose_foreign_kye`", "did you mean `loose_foreign_key`"],
    );
    assert_says(&one("row_per_second = 4"), "6:1", &["`row_per_second` in `ci`", "did you mean `rows_per_second`"]);
    assert_says(&one(&key("on_delete = \"delete\"\n  were = { a = 1 }")), "10:3", &["`were`", "did you mean `where`"]);
    assert_says(&one(&key("on_delete = { sett = { a = 1 }, set = { a = 1 } }")), "9:15", &["`sett`", "`set`"]);
}

#[test]
fn a_variable_that_is_empty_or_unset_is_named_with_the_place_of_its_value() {
    let said =
        complaints_about("format = 1\n[database]\n\"ä\" = { url = \"${EMPTY}\" }\n[database.b]\nurl   = \"x${NONE}\"");
    assert_eq!(said.len(), 2, "{said:?}");
    assert_says(&said[0], "3:15", &["EMPTY is set but empty"]);
    assert_says(&said[1], "5:9", &["NONE is not set", "${NONE:-default}"]);
}

#[test]
fn a_bad_url_names_the_database_and_never_itself() {
    for url in ["${BAD_URL}", "postgres://u:hunter2@h:notaport/db", "host=h password=hunter2", "hunter2", ""] {
        let said = complaints_about(&format!("format = 1\n[database.ci]\nurl = \"{url}\""));
        assert_eq!(said.len(), 1, "{said:?}");
        assert_says(&said[0], "3:7", &["database \"ci\"", "postgres://user@host"]);
    }
    let said = complaints_about("format = 1\n[database]\nci = \"postgres://u:hunter2@h/db\"");
    assert_says(&said[0], "3:6", &["`database.ci` is a text", "[database.ci]"]);
    let said = complaints_about("format = 1\n[database.ci]\nurl = \"postgres://u:hunter2@h/db");
    assert_says(&said[0], "3", &[]);
}

#[test]
fn two_definitions_of_one_name_are_refused_with_the_remedy() {
    let said = one(&format!("{}{}", key("on_delete = \"delete\""), key("on_delete = \"set_null\"")));
    assert_says(&said, "10:1", &["\"builds.project_id\"", "in line 6", "name = "]);
    let said = one(&format!(
        "{}{}",
        key("on_delete = \"delete\""),
        key("on_delete = \"delete\"\nname = \"builds.project_id\"")
    ));
    assert_says(&said, "14:8", &["name = "]);
    assert!(
        read(&format!("{HEAD}{}{}", key("on_delete = \"delete\""), key("on_delete = \"delete\"\nname = \"b\"")))
            .is_ok()
    );
}

#[test]
fn an_unknown_database_is_refused_with_the_known_ones() {
    let said = one(&key("on_delete = \"delete\"").replace("ci:", "cj:"));
    assert_says(&said, "8:9", &["`child`", "\"cj\"", "known: ci, main"]);
}

#[test]
fn a_table_that_cannot_be_read_is_refused_at_its_end() {
    let said = one(&key("on_delete = \"delete\"").replace("main:public.", "main:"));
    assert_says(&said, "7:10", &["main:projects(id)", "main:public.projects(id)"]);
    let said = one(&key("on_delete = \"delete\"").replace("(id)", "(id, x)"));
    assert_says(&said, "8:9", &["2 columns", "child 1"]);
}

#[test]
fn an_action_that_is_none_is_refused_with_those_that_are() {
    for (action, words) in [
        ("\"cascade\"", "did you mean \"delete\""),
        ("\"set null\"", "did you mean \"set_null\""),
        ("\"x\"", "\"set_null\""),
        ("1", "\"set_null\""),
        ("{}", "needs the columns"),
        ("{ set = 1 }", "needs the columns"),
        ("{ set = {} }", "names no column"),
        ("{ set = { a = [] } }", "a list"),
        ("{ set = { a = 1979-05-27 } }", "a date"),
        ("{ set = { a = 99999999999999999999 } }", "in quotes"),
        ("{ set = { \"\" = 1 } }", "may not be empty"),
    ] {
        assert_says(&one(&key(&format!("on_delete = {action}"))), "9", &[words]);
    }
    assert_says(&one(&key("")), "6:1", &["`on_delete` is missing"]);
}

#[test]
fn an_empty_condition_is_refused() {
    assert_says(&one(&key("on_delete = \"delete\"\nwhere = {}")), "10:1", &["`where` names no column"]);
    assert_says(&one(&key("on_delete = \"delete\"\nwhere = \"a = 1\"")), "10:9", &["not a table"]);
}

#[test]
fn another_format_is_refused_with_the_remedy() {
    let tail = "\n[database.a]\nurl = \"postgres://h/a\"";
    for (format, place, words) in [
        ("", "1:1", "write `format = 1`"),
        ("format = 2", "1:10", "reads format 1"),
        ("format = \"1\"", "1:10", "write `format = 1`"),
    ] {
        assert_says(&complaints_about(&format!("{format}{tail}"))[0], place, &[words]);
    }
}

const MIRROR: &str =
    "[[mirror]]\nsource = \"main:public.spaces\"\ntarget = \"ci:public.copies\"\nkey = { id = \"space_id\" }\n";

#[test]
fn a_mirror_is_read_with_columns_expressions_and_a_filter() {
    let rest = "columns = { path = \"path\" }\nexpressions = { handle = \"lower(name)\" }\nwhere = \"NOT archived\"\nrepair = true";
    let config = read(&format!("{HEAD}{MIRROR}{rest}")).unwrap();
    let mirror = &config.mirrors[0];
    assert_eq!((mirror.name.as_str(), mirror.repair), ("copies", true));
    assert_eq!(mirror.source.to_string(), "main:public.spaces(id)");
    assert_eq!(mirror.target.to_string(), "ci:public.copies(space_id)");
    let filled: Vec<&str> = mirror.columns.iter().map(|c| c.target.as_str()).collect();
    assert_eq!(filled, ["path", "handle"]);
    assert_eq!(mirror.filter.as_ref().unwrap().as_str(), "NOT archived");
}

#[test]
fn a_mirror_is_checked_within_a_day_unless_another_time_or_none_is_asked_for() {
    use lfk_mirror::{Cron, Schedule};
    let check = |rest: &str| read(&format!("{HEAD}{MIRROR}{rest}")).unwrap().mirrors[0].check.clone();
    let within = |seconds| Some(Schedule::Within(std::time::Duration::from_secs(seconds)));
    assert_eq!(check(""), within(86_400));
    assert_eq!(check("check = \"1h30m\""), within(5_400));
    assert_eq!(check("check = \"off\""), None);
    let nightly = Cron::new("0 3 * * *").unwrap();
    assert_eq!(check("check = { cron = \"0 3 * * *\" }"), Some(Schedule::Cron(nightly.clone())));
    let berlin = "check = { cron = \"0 3 * * *\", zone = \"Europe/Berlin\" }";
    assert_eq!(check(berlin), Some(Schedule::Cron(nightly.in_zone("Europe/Berlin").unwrap())));
}

#[test]
fn rows_from_before_a_repair_are_kept_for_30_days_unless_another_time_is_asked_for() {
    let keep = |rest: &str| read(&format!("{HEAD}{MIRROR}{rest}")).unwrap().mirrors[0].keep_before.as_secs();
    assert_eq!(keep(""), 30 * 86_400);
    assert_eq!(keep("keep_before = \"48h\""), 2 * 86_400);
}

#[test]
fn what_is_wrong_with_a_mirror_is_said_with_its_place() {
    for (rest, place, words) in [
        ("colums = { path = \"path\" }", "10:1", vec!["unknown key `colums`", "columns"]),
        ("columns = { path = 1 }", "10:20", vec!["`columns.path` is", "not a text"]),
        ("columns = { path = \"space_id\" }", "10:13", vec!["declared twice"]),
        ("where = \"a) OR (b\"", "10:9", vec!["parenthesis"]),
        ("repair = 1", "10:10", vec!["not true or false"]),
        ("check = \"59s\"", "10:9", vec!["one minute", "off"]),
        ("check = \"daily\"", "10:9", vec!["one minute", "24h"]),
        ("check = false", "10:9", vec!["not a text"]),
        ("check = \"0 3 * * *\"", "10:9", vec!["check = { cron ="]),
        ("check = { cron = \"0 3 * *\" }", "10:18", vec!["form of cron", "0 3 * * *"]),
        ("check = { cron = \"0 3 30 2 *\" }", "10:18", vec!["ever comes"]),
        ("check = { cron = 3 }", "10:18", vec!["not a text"]),
        ("check = { zone = \"UTC\" }", "10:1", vec!["`cron` is missing", "0 3 * * *"]),
        ("check = { cron = \"0 3 * * *\", zone = \"CEST?\" }", "10:38", vec!["time zone", "tzdata", "Europe/Berlin"]),
        ("check = { corn = \"0 3 * * *\", cron = \"0 3 * * *\" }", "10:11", vec!["unknown key `corn`", "cron"]),
        ("keep_before = \"23h\"", "10:15", vec!["one day", "720h"]),
    ] {
        assert_says(&one(&format!("{MIRROR}{rest}")), place, &words);
    }
    assert_says(&one(&MIRROR.replace("key = { id = \"space_id\" }\n", "")), "6:1", &["`key` is missing"]);
    assert_says(&one(&MIRROR.replace("ci:public", "cj:public")), "8:10", &["\"cj\", which is not configured", "ci"]);
    assert_says(&one(&format!("{MIRROR}{MIRROR}")), "10:1", &["two definitions are named \"copies\""]);
}

#[test]
fn limits_are_whole_numbers_from_one() {
    for wrong in ["0", "-1", "1.5", "\"5\"", "99999999999"] {
        assert_says(&one(&format!("rows_per_second = {wrong}")), "6:19", &["rows_per_second"]);
    }
}

#[test]
fn a_pooler_is_in_transaction_mode_or_not_worth_a_word() {
    let config = read(&format!("{HEAD}pooler = \"transaction\"\n")).unwrap();
    let poolers: Vec<_> = config.databases.iter().map(|d| (d.name(), d.pooler())).collect();
    assert_eq!(poolers, [("ci", Pooler::Transaction), ("main", Pooler::None)]);
    assert_says(&one("pooler = \"session\""), "6:10", &["no such mode", "leave it out"]);
    assert_says(&one("pooler = true"), "6:10", &["not a text"]);
}

#[test]
fn session_options_do_not_go_through_a_transaction_pooler() {
    let said = complaints_about(
        "format = 1\n[database.main]\nurl = \"postgres://u@h/d?options=-cwork_mem%3D1MB\"\npooler = \"transaction\"\n",
    );
    assert_eq!(said.len(), 1, "{said:#?}");
    assert_says(&said[0], "3:7", &["session options", "remove `options`"]);
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let said = complaints("nonsense = 1\n[[loose_foreign_key]]\nparent = 1\nchild = \"x\"\n[more]");
    let places: Vec<&str> = said.iter().map(|s| s.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["lfk.toml:6:1", "lfk.toml:7:1", "lfk.toml:8:10", "lfk.toml:9:9", "lfk.toml:10:2"]);
}

#[test]
fn text_that_is_no_toml_is_refused_with_its_place() {
    assert_says(&complaints("a = ")[0], "6", &[]);
    assert_says(&complaints("[[loose_foreign_key]\n")[0], "6", &[]);
}

#[test]
fn the_path_comes_from_the_option_or_the_environment_or_is_the_default() {
    assert_eq!(path(Some("a".into()), Some("b".into())).unwrap(), Path::new("a"));
    assert_eq!(path(None, Some("b".into())).unwrap(), Path::new("b"));
    assert_eq!(path(None, None).unwrap(), Path::new("lfk.toml"));
    assert!(path(None, Some("".into())).unwrap_err().complaints[0].message.contains(PATH_VARIABLE));
}

#[test]
fn names_that_are_not_configured_are_refused_and_no_name_means_all() {
    let other = key("on_delete = \"delete\"\nname = \"b\"");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let engine = read(&format!("{HEAD}{}{other}", key("on_delete = \"delete\""))).unwrap().engine().unwrap();
    let names = |names: &[&str]| chosen(&engine, &names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
    assert_eq!(names(&[]).unwrap(), ["builds.project_id", "b"]);
    assert_eq!(names(&["b", "b"]).unwrap(), ["b"]);
    let failure = names(&["b", "builds.projectid", "c"]).unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
    assert_eq!(failure.complaints.len(), 2);
    assert!(failure.complaints[0].hints[0].contains("did you mean `builds.project_id`? known: builds.project_id, b"));
    let none = read(HEAD).unwrap().engine().unwrap();
    assert_eq!(chosen(&none, &[]).unwrap_err().exit, Exit::Usage);
}

#[test]
fn cursors_are_kept_in_postgres_unless_the_file_says_otherwise() {
    let read = |rest: &str| read(&format!("{HEAD}{rest}")).unwrap().cursors;
    for (rest, store) in [
        ("", "postgres"),
        ("[cursors]", "postgres"),
        ("[cursors]\nstore = \"postgres\"", "postgres"),
        ("[cursors]\nstore = \"memory\"", "memory"),
    ] {
        let cursors = read(rest);
        assert_eq!(cursors.kind.as_str(), store, "{rest}");
        assert_eq!(cursors.store.is_some(), store != "postgres", "{rest}");
    }
}

#[cfg(feature = "redis")]
#[test]
fn redis_is_read_with_its_prefix_and_never_shown() {
    let redis = "[redis]\nurl = \"redis://u:hunter2@localhost/3\"";
    let config = read(&format!("{HEAD}{redis}\nprefix = \"shop\"\n[cursors]\nstore = \"redis\"")).unwrap();
    assert_eq!(config.cursors.prefix.as_deref(), Some("shop"));
    assert!(config.cursors.store.is_some() && !format!("{config:?}").contains("hunter2"), "{config:?}");
    // It may be configured and not used for cursors.
    let config = read(&format!("{HEAD}{redis}")).unwrap();
    assert_eq!((config.cursors.kind.as_str(), config.cursors.prefix), ("postgres", None));
}

#[test]
fn cursors_in_a_redis_that_is_not_configured_are_refused() {
    let said = one("[cursors]\nstore = \"redis\"");
    assert_says(&said, "7:9", &["[redis]", "url = \"${REDIS_URL}\"", "PostgreSQL"]);
}

#[cfg(feature = "redis")]
#[test]
fn mistakes_in_redis_and_cursors_are_told_with_their_place() {
    assert_says(&one("[cursors]\nstore = \"hunter2\""), "7:9", &["no such store", "\"postgres\", \"redis\" or"]);
    assert_says(&one("[cursors]\nstor = \"redis\""), "7:1", &["`stor`", "did you mean `store`"]);
    assert_says(&one("[cursor]\nstore = \"redis\""), "6:2", &["`cursor`", "did you mean `cursors`"]);
    assert_says(&complaints_about(&format!("cursors = 3\n{HEAD}"))[0], "1:11", &["a number, not a table", "[cursors]"]);
    let redis = |rest: &str| one(&format!("[redis]\n{rest}"));
    assert_says(&redis(""), "6:2", &["`url` is missing in `redis`", "REDIS_URL"]);
    assert_says(&redis("url = \"${NONE}\""), "7:7", &["NONE is not set"]);
    assert_says(&redis("url = \"redis://h\"\npassword = \"hunter2\""), "8:1", &["`password`"]);
    assert_says(&redis("url = \"redis://h\"\nprefix = \"\""), "8:10", &["prefix"]);
    for url in ["${BAD_URL}", "redis://u:hunter2@h:port", "redis://u:hunter#2@h", "rediss://u:hunter2@h#insecure"] {
        assert_says(&redis(&format!("url = \"{url}\"")), "7:7", &["the url of Redis", "redis://user:password@host"]);
    }
}

#[cfg(not(feature = "redis"))]
#[test]
fn a_binary_without_redis_says_so() {
    let said = one("[redis]\nurl = \"redis://u:hunter2@localhost\"\n[cursors]\nstore = \"redis\"");
    assert_says(&said, "6:2", &["built without Redis", "remove [redis]", "feature `redis`"]);
}
