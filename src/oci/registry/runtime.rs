//! The thread that drives network I/O, so that everything outside may block.

use std::future::Future;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::error::RegistryError;
use crate::sys::Interrupt;

/// How long Ctrl-C may go unnoticed while nothing else happens.
const INTERRUPT_POLL: Duration = Duration::from_millis(100);

/// A single-threaded runtime on a thread of its own; it ends when this is dropped.
///
/// Callers run their futures on their own threads ([`IoThread::run`]), several
/// at once; sockets and timers are served by this one.
#[derive(Debug)]
pub(super) struct IoThread {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    interrupt: Interrupt,
}

impl IoThread {
    pub(super) fn start(interrupt: Interrupt) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let drive = move || {
            // Ends with an error when the sender is dropped, which is the signal.
            runtime.block_on(stopped).unwrap_or_default();
        };
        let thread = std::thread::Builder::new().name("registry-io".to_owned()).spawn(drive)?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread), interrupt })
    }

    /// Waits for `future`, or for the user to interrupt.
    pub(super) fn run<T, E: From<RegistryError>>(&self, future: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        self.handle.block_on(async {
            tokio::select! {
                biased;
                () = self.interrupted() => Err(RegistryError::Interrupted.into()),
                result = future => result,
            }
        })
    }

    /// Waits, unless the user interrupts.
    pub(super) fn pause(&self, time: Duration) -> Result<(), RegistryError> {
        self.run(async {
            tokio::time::sleep(time).await;
            Ok(())
        })
    }

    async fn interrupted(&self) {
        while !self.interrupt.is_set() {
            tokio::time::sleep(INTERRUPT_POLL).await;
        }
    }
}

impl Drop for IoThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the I/O thread has shown itself in the requests it served.
            drop(thread.join());
        }
    }
}
