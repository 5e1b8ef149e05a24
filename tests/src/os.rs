//! The few calls to the operating system that the standard library does not have.
#![expect(unsafe_code, reason = "signals, PR_SET_PDEATHSIG and System V memory have no safe interface in std")]

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// What a test may send to a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: read the configuration again.
    Hangup,
    /// SIGINT: to PostgreSQL a fast shutdown.
    Interrupt,
    /// SIGQUIT: to PostgreSQL an immediate shutdown.
    Quit,
    /// SIGTERM: stop gracefully.
    Terminate,
    /// SIGKILL.
    Kill,
    /// SIGSTOP: freeze.
    Stop,
    /// SIGCONT: go on.
    Continue,
}

impl Signal {
    fn number(self) -> libc::c_int {
        match self {
            Self::Hangup => libc::SIGHUP,
            Self::Interrupt => libc::SIGINT,
            Self::Quit => libc::SIGQUIT,
            Self::Terminate => libc::SIGTERM,
            Self::Kill => libc::SIGKILL,
            Self::Stop => libc::SIGSTOP,
            Self::Continue => libc::SIGCONT,
        }
    }
}

/// Sends a signal. Only to processes of our own: zero and what does not fit would mean whole groups.
pub(crate) fn send(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    if pid <= 1 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: kill(2) takes two integers and touches no memory of ours.
    match unsafe { libc::kill(pid, signal.number()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes the kernel send SIGQUIT to the command's process when the *thread* that spawned it ends.
///
/// Hence commands prepared so are spawned by [`crate::guard::spawn`], whose thread lives as long as the process.
pub(crate) fn die_with_parent(command: &mut Command) {
    const QUIT: libc::c_ulong = 3;
    let parent = std::process::id();
    // SAFETY: the closure runs between fork and exec; prctl and getppid are async-signal-safe and it allocates nothing.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, QUIT) != 0 {
                return Err(io::Error::last_os_error());
            }
            // The parent may have died before the call above; then nobody would ever send the signal.
            if u32::try_from(libc::getppid()) != Ok(parent) {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
}

/// Removes the System V segment that a killed postmaster leaves. One that is gone already is no error.
pub(crate) fn remove_shared_memory(id: i32) {
    // SAFETY: IPC_RMID ignores the buffer, which may be null.
    let _ = unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
}

/// Whether this process has uid 0, which PostgreSQL refuses.
pub(crate) fn is_root() -> bool {
    uid() == 0
}

/// The effective uid.
pub(crate) fn uid() -> u32 {
    // SAFETY: geteuid takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// The processes whose parent is `parent`.
pub(crate) fn children_of(parent: u32) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| state_and_parent(*pid).is_some_and(|(_, its)| its == parent))
        .collect()
}

/// Whether the process still runs. A zombie does not: it holds nothing any more, and who should reap it may be slow.
#[must_use]
pub fn is_running(pid: u32) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| state != 'Z' && state != 'X')
}

fn state_and_parent(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name, in parentheses, may itself hold spaces and parentheses.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
