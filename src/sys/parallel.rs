//! Work on many items, several threads at a time.

use std::thread;

/// A nice value of work that nobody waits for yet.
const BACKGROUND: i32 = 10;

/// Does something with every item and returns the results in the order of the items. No thread gets fewer than
/// `per_thread` of them: below some number one costs more than it saves.
///
/// # Panics
/// When `work` does.
pub fn map_all<T: Send, U: Send>(items: Vec<T>, per_thread: usize, work: impl Fn(T) -> U + Sync) -> Vec<U> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(items.len().div_ceil(per_thread.max(1)));
    if threads <= 1 {
        return items.into_iter().map(work).collect();
    }
    let size = items.len().div_ceil(threads);
    let mut items = items.into_iter();
    let chunks: Vec<Vec<T>> = (0..threads).map(|_| items.by_ref().take(size).collect()).collect();
    let work = &work;
    thread::scope(|scope| {
        let spawn = |chunk: Vec<T>| scope.spawn(move || chunk.into_iter().map(work).collect::<Vec<U>>());
        let handles: Vec<_> = chunks.into_iter().map(spawn).collect();
        let join = |handle: thread::ScopedJoinHandle<'_, Vec<U>>| {
            handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        handles.into_iter().flat_map(join).collect()
    })
}

/// Lets everybody else go first from now on: this thread, and those it starts, only get what processors have left.
pub fn yield_to_others() {
    // Of no thread but the calling one, see setpriority(2). Where it is refused the work is done all the same.
    if let Err(error) = rustix::process::setpriority_process(None, BACKGROUND) {
        tracing::debug!(%error, "lowering the priority of a thread");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_the_order_of_the_items() {
        for count in [0, 1, 2, 7, 1000] {
            let items: Vec<usize> = (0..count).collect();
            assert_eq!(
                map_all(items.clone(), 1, |item| item * 2),
                items.iter().map(|item| item * 2).collect::<Vec<_>>()
            );
        }
    }
}
