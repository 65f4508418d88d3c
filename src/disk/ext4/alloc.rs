//! Which blocks are used: a line through the device that never turns back.

use super::GROUP_BLOCKS;

/// Consecutive blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// The first block.
    pub(super) start: u64,
    /// How many.
    pub(super) blocks: u64,
}

impl Run {
    /// The block behind the last one.
    pub(super) const fn end(self) -> u64 {
        self.start + self.blocks
    }
}

/// Whether a group starts with a copy of the superblock: 0, 1 and the powers of 3, 5 and 7 (super.rst, sparse_super).
pub(super) fn has_superblock(group: u64) -> bool {
    group <= 1 || [3, 5, 7].into_iter().any(|base| is_power(group, base))
}

fn is_power(mut number: u64, base: u64) -> bool {
    while number.is_multiple_of(base) {
        number /= base;
    }
    number == 1
}

/// The next group behind `group` that starts with a superblock.
fn next_superblock(group: u64) -> u64 {
    let next_power = |base: u64| std::iter::successors(Some(1), |p: &u64| p.checked_mul(base)).find(|p| *p > group);
    [3, 5, 7].into_iter().filter_map(next_power).min().unwrap_or(u64::MAX / GROUP_BLOCKS)
}

/// Hands out blocks in ascending order, around the heads of the groups that hold superblocks.
#[derive(Debug, Clone)]
pub(super) struct Allocator {
    /// Blocks at the head of each such group: superblock, descriptors, and the space they may grow into.
    head: u64,
    next: u64,
    /// Where the free stretch that holds `next` ends.
    stretch_end: u64,
    used: Vec<Run>,
}

/// A state of an [`Allocator`] to go back to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    next: u64,
    stretch_end: u64,
    runs: usize,
    last: Option<Run>,
}

impl Allocator {
    /// All blocks free but the heads.
    pub(super) fn new(head: u64) -> Self {
        let mut allocator = Self { head, next: 0, stretch_end: 0, used: Vec::new() };
        allocator.skip_to(0);
        allocator
    }

    /// Blocks of a head.
    pub(super) const fn head(&self) -> u64 {
        self.head
    }

    /// The first block that may be free.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// The used blocks outside the heads, ascending, adjacent ones joined.
    pub(super) fn used(&self) -> &[Run] {
        &self.used
    }

    /// How many blocks are used outside the heads.
    pub(super) fn used_blocks(&self) -> u64 {
        self.used.iter().map(|run| run.blocks).sum()
    }

    /// Goes on at `block`, or behind the head it lies in.
    pub(super) fn skip_to(&mut self, block: u64) {
        let group = block / GROUP_BLOCKS;
        let start = group * GROUP_BLOCKS;
        self.next = if has_superblock(group) { block.max(start + self.head) } else { block };
        self.stretch_end = next_superblock(group) * GROUP_BLOCKS;
    }

    /// Takes at least one and at most `wanted` consecutive blocks.
    pub(super) fn take(&mut self, wanted: u64) -> Run {
        if self.next == self.stretch_end {
            self.skip_to(self.next);
        }
        let run = Run { start: self.next, blocks: wanted.min(self.stretch_end - self.next) };
        self.next = run.end();
        match self.used.last_mut().filter(|last| last.end() == run.start) {
            Some(last) => last.blocks += run.blocks,
            None => self.used.push(run),
        }
        run
    }

    /// Takes exactly `wanted` consecutive blocks; at most the blocks of a group without its head.
    pub(super) fn take_whole(&mut self, wanted: u64) -> Run {
        while self.stretch_end - self.next < wanted {
            self.skip_to(self.stretch_end);
        }
        self.take(wanted)
    }

    /// Takes `wanted` blocks in as few runs as there can be.
    pub(super) fn take_all(&mut self, wanted: u64) -> Vec<Run> {
        let mut runs = Vec::new();
        let mut left = wanted;
        while left > 0 {
            let run = self.take(left);
            left -= run.blocks;
            runs.push(run);
        }
        runs
    }

    /// The present state.
    pub(super) fn mark(&self) -> Mark {
        Mark { next: self.next, stretch_end: self.stretch_end, runs: self.used.len(), last: self.used.last().copied() }
    }

    /// Gives back everything taken since `mark`.
    pub(super) fn rewind(&mut self, mark: Mark) {
        (self.next, self.stretch_end) = (mark.next, mark.stretch_end);
        self.used.truncate(mark.runs);
        if let (Some(last), Some(was)) = (self.used.last_mut(), mark.last) {
            *last = was;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn superblocks_are_where_the_format_puts_them() {
        let found: Vec<_> = (0..350).filter(|group| has_superblock(*group)).collect();
        assert_eq!(found, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125, 243, 343]);
        for group in 0..400 {
            assert_eq!(next_superblock(group), (group + 1..).find(|next| has_superblock(*next)).unwrap());
        }
    }

    #[test]
    fn runs_go_around_the_heads() {
        let mut allocator = Allocator::new(10);
        assert_eq!(
            allocator.take_all(40_000),
            [Run { start: 10, blocks: 32_758 }, Run { start: 32_778, blocks: 7_242 }]
        );
        let mark = allocator.mark();
        assert_eq!(allocator.take_whole(32_768).start, 40_020);
        assert_eq!(allocator.take_whole(32_768).start, 98_314);
        allocator.rewind(mark);
        assert_eq!((allocator.next(), allocator.used_blocks()), (40_020, 40_000));
        assert_eq!(allocator.take(1).start, 40_020);
    }
}
