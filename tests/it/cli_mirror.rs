//! Mirrors on the command line.

use anyhow::Result;
use lfk_tests::{Cli, Pair};

use crate::mirror_support::{SOURCE, TARGET};

const DEFINITIONS: &str = "
    [[loose_foreign_key]]
    parent = \"main:public.spaces(id)\"
    child = \"ci:public.builds(space_id)\"
    on_delete = \"delete\"

    [[mirror]]
    name = \"spaces\"
    source = \"main:public.spaces\"
    target = \"ci:public.copies\"
    key = { id = \"space_id\" }
    columns = { owner = \"owner\" }";
const BUILDS: &str = "CREATE TABLE builds (id bigint PRIMARY KEY, space_id bigint); CREATE INDEX ON builds (space_id);";

#[tokio::test]
async fn f07_answers_about_definitions_list_mirrors_apart_from_loose_foreign_keys() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, &format!("{BUILDS}{TARGET}")).await?;
    let cli = Cli::for_pair(&pair, DEFINITIONS)?;
    let installed = cli.install(&pair).await?.json()?;
    assert_eq!(installed["mirrors"][0]["name"], "spaces", "{installed}");
    assert_eq!(installed["loose_foreign_keys"].as_array().map(Vec::len), Some(1), "{installed}");
    for command in [vec!["activate", "--all"], vec!["retry", "now", "--all"], vec!["pause", "--all"], vec!["status"]] {
        let arguments = command.iter().copied().chain(["--format", "json"]);
        let answer = cli.run(arguments).await?.expect(0).json()?;
        assert_eq!(answer["mirrors"][0]["name"], "spaces", "{command:?}: {answer}");
        assert_eq!(answer["loose_foreign_keys"][0]["name"], "builds.space_id", "{command:?}: {answer}");
        assert_eq!(answer["loose_foreign_keys"].as_array().map(Vec::len), Some(1), "{command:?}");
    }
    Ok(())
}

#[tokio::test]
async fn m08_a_repair_of_a_mirror_that_nobody_would_write_is_refused_at_once() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, &format!("{BUILDS}{TARGET}")).await?;
    let cli = Cli::for_pair(&pair, DEFINITIONS)?;
    cli.install(&pair).await?;
    let refused = cli.run(["mirror", "check", "spaces", "--repair"]).await?.expect(4);
    assert!(
        refused.stderr.contains("not active") && refused.stderr.contains("lfk activate spaces"),
        "{}",
        refused.stderr
    );
    // To look is allowed; nothing was filled yet.
    cli.run(["mirror", "check", "spaces"]).await?.expect(0);
    cli.run(["activate", "--all"]).await?.expect(0);
    cli.run(["stop", "--all"]).await?.expect(0);
    let refused = cli.run(["mirror", "check", "spaces", "--repair"]).await?.expect(4);
    assert!(refused.stderr.contains("lfk start --all"), "{}", refused.stderr);
    assert_eq!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.retry").await?, 0, "keys were handed over");
    Ok(())
}
