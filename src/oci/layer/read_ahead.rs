//! Decompression on a thread of its own.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Size of the pieces handed over.
const PIECE: usize = 256 << 10;
/// How many may wait: with the two in use, 1.5 MiB per stream.
const WAITING: usize = 4;

/// Reads another reader ahead, so that what it does (decompress, hash) and what is done with the result happen at once.
///
/// Order and content are those of the inner reader; an error may come up to one piece early. The thread ends with this value.
#[derive(Debug)]
pub struct ReadAhead {
    /// `None` once everything was received.
    pieces: Option<Receiver<io::Result<Vec<u8>>>>,
    piece: Vec<u8>,
    position: usize,
    thread: Option<JoinHandle<()>>,
}

impl ReadAhead {
    /// Begins to read `inner`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(inner: impl Read + Send + 'static) -> io::Result<Self> {
        let (sender, pieces) = sync_channel(WAITING);
        let thread = std::thread::Builder::new().name("layer".to_owned()).spawn(move || send(inner, &sender))?;
        Ok(Self { pieces: Some(pieces), piece: Vec::new(), position: 0, thread: Some(thread) })
    }

    fn next_piece(&mut self) -> io::Result<()> {
        self.piece.clear();
        self.position = 0;
        let Some(pieces) = &self.pieces else { return Ok(()) };
        match pieces.recv() {
            Ok(Ok(piece)) => self.piece = piece,
            // The thread sends nothing after an error, and an empty piece at a good end: a channel that
            // just closes means that it panicked, and must not look like the end.
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(io::Error::other("the thread reading the layer has died")),
        }
        if self.piece.is_empty() {
            self.pieces = None;
        }
        Ok(())
    }
}

/// Sends piece after piece until the end, which is an empty one, an error, or nobody receiving any more.
fn send(mut inner: impl Read, sender: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let piece = read_piece(&mut inner);
        let last = piece.as_ref().map_or(true, Vec::is_empty);
        if sender.send(piece).is_err() || last {
            return;
        }
    }
}

fn read_piece(inner: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut piece = vec![0; PIECE];
    let mut filled = 0;
    while filled < PIECE {
        match inner.read(&mut piece[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    piece.truncate(filled);
    Ok(piece)
}

impl Read for ReadAhead {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.position == self.piece.len() && !buf.is_empty() {
            self.next_piece()?;
        }
        let count = buf.len().min(self.piece.len() - self.position);
        buf[..count].copy_from_slice(&self.piece[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        // Closing the channel ends the thread at its next piece.
        self.pieces = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported as a read error, or nobody wanted the rest.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_there() {
        for size in [0, 1, PIECE - 1, PIECE, PIECE + 1, 10 * PIECE + 7] {
            let content: Vec<u8> = (0u8..=250).cycle().take(size).collect();
            let mut read = Vec::new();
            let mut reader = ReadAhead::new(io::Cursor::new(content.clone())).unwrap();
            reader.read_to_end(&mut read).unwrap();
            assert!(read == content, "{size}");
            assert_eq!(reader.read(&mut [0]).unwrap(), 0, "the end stays the end");
        }
    }

    struct Failing(usize);

    impl Read for Failing {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let count = self.0.min(buf.len());
            self.0 -= count;
            Ok(count)
        }
    }

    #[test]
    fn an_error_arrives_and_is_no_end() {
        let mut reader = ReadAhead::new(Failing(PIECE)).unwrap();
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(reader.read(&mut [0]).is_err());
    }

    #[test]
    fn a_panic_is_an_error_and_no_end() {
        struct Panicking;
        impl Read for Panicking {
            fn read(&mut self, _buf: &mut [u8]) -> io::Result<usize> {
                panic!("on purpose")
            }
        }
        assert!(ReadAhead::new(Panicking).unwrap().read(&mut [0]).is_err());
    }

    #[test]
    fn an_endless_reader_ends_when_nobody_reads() {
        let mut reader = ReadAhead::new(io::repeat(7)).unwrap();
        assert_eq!(reader.read(&mut [0; 10]).unwrap(), 10);
        drop(reader);
    }
}
