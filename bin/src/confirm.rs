//! Asking before something is thrown away.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::exit::{Complaint, Exit, Failure, say};

/// Shows `lines` and goes on after a yes. Without a terminal to ask on, `what` needs `--yes`.
pub(crate) async fn confirm(what: &str, lines: impl IntoIterator<Item = String>) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        let complaint = Complaint::new(format!("{what} asks first, and there is no terminal to ask on"))
            .hint("add --yes to go on without a question");
        return Err(Failure::new(Exit::Usage, complaint));
    }
    for line in lines {
        say(&line);
    }
    // On a thread of its own: a signal must get through while nobody answers.
    let said = tokio::task::spawn_blocking(ask).await.map_err(|e| Failure::runtime(e.to_string()))?;
    match said {
        Ok(line) if line.trim() == "yes" => Ok(()),
        _ => Err(Failure::new(Exit::Refused, Complaint::new("not confirmed: nothing was changed"))),
    }
}

fn ask() -> io::Result<String> {
    // Not kept locked: whoever interrupts the question is told so on stderr.
    io::stderr().write_all(b"Type yes to go on: ")?;
    io::stderr().flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}
