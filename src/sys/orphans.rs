//! Ending what a killed run left running.
//!
//! Every program is started with the run's name in its environment, and its
//! children inherit it, so that they can be found without any file that a kill
//! could leave out of date.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::env;

/// Kills every process of this user that belongs to the run, and waits until none is left.
///
/// # Errors
/// When `/proc` cannot be listed, or one of them survives.
pub fn kill(run_id: &str) -> io::Result<usize> {
    let mark = format!("{}={run_id}", env::IMGBUILD_RUN.name).into_bytes();
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut killed = 0;
    loop {
        let orphans = find(&mark)?;
        if orphans.is_empty() {
            return Ok(killed);
        }
        if Instant::now() > deadline {
            return Err(io::Error::other(format!("{} processes of run {run_id} do not end", orphans.len())));
        }
        for pid in orphans {
            // It may have ended since it was found.
            if kill_process(pid, Signal::KILL).is_ok() {
                killed += 1;
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn find(mark: &[u8]) -> io::Result<Vec<Pid>> {
    let own = rustix::process::getpid();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else { continue };
        // Unreadable means somebody else's; gone means ended.
        let Ok(environ) = std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())) else { continue };
        if pid != own && environ.split(|byte| *byte == 0).any(|variable| variable == mark) {
            found.push(pid);
        }
    }
    Ok(found)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the test needs a child that outlives its starter")]
mod tests {
    use std::process::Command;

    #[test]
    fn kills_what_carries_the_mark_and_nothing_else() {
        let spawn = |run: &str| Command::new("sleep").arg("600").env("IMGBUILD_RUN", run).spawn().unwrap();
        let run = format!("orphan-test-{}", std::process::id());
        let mut marked = spawn(&run);
        let mut other = spawn(&format!("{run}-other"));
        // Right after it was started, a process has no environment yet that anybody could read.
        let mark = format!("IMGBUILD_RUN={run}").into_bytes();
        while super::find(&mark).unwrap().is_empty() {
            std::thread::yield_now();
        }
        // A zombie keeps no environment, so the marked child counts as gone before it is reaped.
        assert_eq!(super::kill(&run).unwrap(), 1);
        assert!(!marked.wait().unwrap().success());
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
