//! How a run ends: the exit codes, which are an interface, and what is said on stderr.

use std::error::Error as _;
use std::io;
use std::process::ExitCode;

use lfk_core::{Drained, ErrorKind};

/// The exit codes. They never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Ok = 0,
    /// Something failed while working; a database that cannot be reached is the usual case.
    Runtime = 1,
    /// The arguments or the configuration are wrong; nothing was touched. (The argument parser uses it too.)
    Usage = 2,
    /// Everything that could be done is done, but keys are quarantined or a definition is blocked.
    Findings = 3,
    /// `plan` forbids it, or a database is not the one that was recorded.
    Refused = 4,
    /// lfk is not installed in a database, or at a version that this one cannot work with.
    Version = 5,
    /// The time was used up; the same command goes on where this one stopped.
    TimedOut = 6,
    /// Interrupted by a signal before the end.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        // The enum's representation is the code.
        #[expect(clippy::as_conversions, reason = "reads the discriminant of a repr(u8) enum")]
        Self::from(exit as u8)
    }
}

impl From<Drained> for Exit {
    fn from(drained: Drained) -> Self {
        match drained {
            Drained::Drained => Self::Ok,
            Drained::NeedsAttention => Self::Findings,
            Drained::TimedOut => Self::TimedOut,
            Drained::Stopped => Self::Interrupted,
            // A later outcome that this binary does not know is not a success.
            _ => Self::Runtime,
        }
    }
}

/// The code for each kind of error of the library.
pub(crate) fn exit_for(kind: ErrorKind) -> Exit {
    match kind {
        ErrorKind::Config => Exit::Usage,
        ErrorKind::Refused => Exit::Refused,
        ErrorKind::NotInstalled => Exit::Version,
        ErrorKind::TimedOut => Exit::TimedOut,
        _ => Exit::Runtime,
    }
}

/// A run that did not succeed: its exit code, and what to say on stderr.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) complaints: Vec<Complaint>,
}

/// One thing that is wrong, why, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) message: String,
    pub(crate) cause: Option<String>,
    pub(crate) hints: Vec<String>,
}

impl Complaint {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), cause: None, hints: Vec::new() }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl Failure {
    pub(crate) fn new(exit: Exit, complaint: Complaint) -> Self {
        Self { exit, complaints: vec![complaint] }
    }

    pub(crate) fn runtime(message: impl Into<String>) -> Self {
        Self::new(Exit::Runtime, Complaint::new(message))
    }

    /// Says everything on stderr and gives the code.
    pub(crate) fn report(&self) -> ExitCode {
        for complaint in &self.complaints {
            say(&format!("error: {}", complaint.message));
            if let Some(cause) = &complaint.cause {
                say(&format!("cause: {cause}"));
            }
            for hint in &complaint.hints {
                say(&format!("hint: {hint}"));
            }
        }
        self.exit.into()
    }
}

/// Writes a line to stderr. Where that is closed there is nobody left to tell.
pub(crate) fn say(line: &str) {
    use io::Write as _;
    drop(writeln!(io::stderr().lock(), "{line}"));
}

impl From<lfk_core::Error> for Failure {
    fn from(error: lfk_core::Error) -> Self {
        let mut complaint = Complaint::new(error.to_string());
        // The message of a failed statement already is the server's; the source would only repeat it.
        if error.kind != ErrorKind::Sql {
            complaint.cause = error.source().map(ToString::to_string).filter(|c| !complaint.message.contains(c));
        }
        complaint.hints.extend(error.hint.iter().flat_map(|h| h.lines()).map(str::to_owned));
        Self::new(exit_for(error.kind), complaint)
    }
}

impl From<io::Error> for Failure {
    /// Only the answer on stdout is written through here. A reader that has seen enough (`| head`) is no failure.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { exit: Exit::Ok, complaints: Vec::new() };
        }
        Self::runtime(format!("the answer cannot be written: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_has_its_documented_code() {
        for (kind, exit) in [
            (ErrorKind::Config, 2),
            (ErrorKind::Refused, 4),
            (ErrorKind::NotInstalled, 5),
            (ErrorKind::Unreachable, 1),
            (ErrorKind::Sql, 1),
            (ErrorKind::LeaseLost, 1),
            (ErrorKind::TimedOut, 6),
        ] {
            assert_eq!(ExitCode::from(exit_for(kind)), ExitCode::from(exit), "{kind:?}");
        }
        assert_eq!(ExitCode::from(Exit::Interrupted), ExitCode::from(130));
        assert_eq!(Exit::from(Drained::NeedsAttention), Exit::Findings);
    }

    #[test]
    fn an_error_is_said_with_place_cause_and_remedy() {
        let mut error = lfk_core::Error::new(ErrorKind::Unreachable, "cannot be reached").in_database("ci");
        error.source = Some("connection refused".into());
        let failure = Failure::from(error.with_hint("start it\nor change its url"));
        assert_eq!(failure.exit, Exit::Runtime);
        assert_eq!(
            failure.complaints,
            [Complaint {
                message: "database \"ci\": cannot be reached".to_owned(),
                cause: Some("connection refused".to_owned()),
                hints: vec!["start it".to_owned(), "or change its url".to_owned()],
            }]
        );
    }
}
