//! Commands run for real.

use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use super::{Cmd, CmdError, ExitKind, Runner};
use crate::sys::{Interrupt, Watched};

fn runner() -> Runner {
    Runner::new(None, "test", Interrupt::default())
}

#[test]
fn prints_a_line_that_can_be_pasted() {
    let cmd = Cmd::new("buildah").env("TMPDIR", "/a b").opt("--root", "it's").redact("s3cret").arg("x=s3cret");
    assert_eq!(cmd.to_string(), r#"TMPDIR='/a b' buildah --root "it's" 'x=***'"#);
}

#[test]
fn a_wrapped_command_keeps_its_environment() {
    let cmd = Cmd::new("buildah").env("A", "1").arg("build").wrapped_in("unshare", ["--net", "--"]);
    assert_eq!(cmd.to_string(), "A=1 unshare --net -- buildah build");
}

#[test]
fn a_failure_carries_code_tail_and_log() {
    let logs = tempfile::tempdir().unwrap();
    let runner = Runner::new(Some(logs.path().to_owned()), "test", Interrupt::default());
    let cmd = Cmd::new("sh").args(["-c", "echo one; echo secret-word >&2; exit 7"]).redact("secret-word");
    let error = runner.run(&cmd).unwrap_err();
    let CmdError::Failed { exit: ExitKind::Code(7), tail, log: Some(log), .. } = &error else { panic!("{error}") };
    assert_eq!(tail.len(), 2);
    let text = std::fs::read_to_string(log).unwrap();
    assert!(text.contains("one") && text.contains("***") && !text.contains("secret-word"), "{text}");
    assert!(!error.to_string().contains("secret-word"));
}

#[test]
fn a_signal_is_named() {
    let error = runner().run(&Cmd::new("sh").args(["-c", "kill -9 $$"])).unwrap_err();
    assert!(error.to_string().contains("SIGKILL"), "{error}");
}

#[test]
fn missing_program_and_missing_folder_are_told_apart() {
    let error = runner().run(&Cmd::new("no-such-program").package("nothing")).unwrap_err();
    assert!(matches!(error, CmdError::Missing { .. }), "{error}");
    let error = runner().run(&Cmd::new("true").current_dir("/no/such/folder")).unwrap_err();
    assert!(matches!(error, CmdError::WorkingDirectory { .. }), "{error}");
}

#[test]
fn reads_output_and_streams_it() {
    assert_eq!(runner().read(&Cmd::new("echo").arg("hi")).unwrap(), "hi\n");
    let mut first = [0];
    // The consumer stops after one byte of an endless stream.
    let cmd = Cmd::new("yes");
    let result = runner().stream(&cmd, &mut |stdout| {
        stdout.read_exact(&mut first)?;
        Err(io::Error::other("enough"))
    });
    assert!(matches!(result, Err(CmdError::Output { .. })), "{result:?}");
}

#[test]
fn an_interrupt_stops_the_program_and_its_children() {
    let interrupt = Interrupt::default();
    let runner = Runner::new(None, "test", interrupt.clone());
    interrupt.set();
    let error = runner.run(&Cmd::new("sh").args(["-c", "sleep 600 & wait"])).unwrap_err();
    assert!(matches!(error, CmdError::Interrupted { .. }), "{error}");
}

#[test]
fn a_watched_program_ends_when_enough_was_seen_or_time_is_up() {
    let watch = |script: &str, timeout| {
        let mut seen = Vec::new();
        let cmd = Cmd::new("sh").args(["-c", script]);
        let result = runner().watch(&cmd, timeout, &mut |bytes| {
            seen.extend_from_slice(bytes);
            if seen.ends_with(b"login: ") { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (result, String::from_utf8(seen).unwrap())
    };
    let minute = Duration::from_secs(60);
    // No line ever ends here, and a child holds the pipe open.
    let (result, seen) = watch("printf 'x login: '; sleep 600 & wait", minute);
    assert_eq!((result.unwrap(), &*seen), (Watched::Enough, "x login: "));
    assert_eq!(watch("echo; exec sleep 600", Duration::from_millis(50)).0.unwrap(), Watched::TimedOut);
    assert_eq!(watch("echo done", minute).0.unwrap(), Watched::Ended);
    let error = watch("echo why >&2; exit 3", minute).0.unwrap_err().to_string();
    assert!(error.contains("exit code 3") && error.contains("| why"), "{error}");
}
