//! Blobs as a stream that picks itself up after a broken connection.

use std::io::{self, Read};

use bytes::{Buf as _, Bytes};
use oci_spec::image::Descriptor;
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};

use super::error::{Failure, RegistryError};
use super::http::{self, Session};
use super::retry::{Attempts, Retry};
use super::runtime::IoThread;

/// Reads one blob; holds one network chunk in memory at a time.
///
/// When the connection breaks, the rest is asked for (`Range`); a registry that
/// sends everything again is skipped forward. The end is only reached after
/// exactly the bytes the descriptor states. Content is not verified here.
#[derive(Debug)]
pub(super) struct BlobReader<'a> {
    session: &'a Session,
    io: &'a IoThread,
    target: String,
    digest: String,
    size: u64,
    /// Bytes received and accepted so far.
    offset: u64,
    /// Bytes of the current answer that were already received earlier.
    skip: u64,
    response: Option<Response>,
    chunk: Bytes,
    attempts: Attempts,
}

impl<'a> BlobReader<'a> {
    /// Opens the blob, so that a missing one is an error here and not at the first read.
    pub(super) fn open(
        session: &'a Session,
        io: &'a IoThread,
        retry: Retry,
        blob: &Descriptor,
    ) -> Result<Self, RegistryError> {
        let digest = blob.digest().to_string();
        let mut reader = Self {
            target: format!("blob {}/{}@{digest}", session.registry, session.repository),
            session,
            io,
            digest,
            size: blob.size(),
            offset: 0,
            skip: 0,
            response: None,
            chunk: Bytes::new(),
            attempts: Attempts::new(retry),
        };
        while reader.response.is_none() {
            if let Err(failure) = io.run(reader.request()) {
                reader.recover(failure)?;
            }
        }
        Ok(reader)
    }

    /// The next bytes; empty at the end.
    fn next_chunk(&mut self) -> Result<Bytes, RegistryError> {
        loop {
            let io = self.io;
            match io.run(self.advance()) {
                Ok(chunk) => return Ok(chunk),
                Err(failure) => self.recover(failure)?,
            }
        }
    }

    fn recover(&mut self, failure: Failure) -> Result<(), RegistryError> {
        self.response = None;
        tracing::debug!(target = self.target, offset = self.offset, error = %failure.error, "transfer failed");
        let pause = self.attempts.pause_after(failure, &self.session.registry)?;
        self.io.pause(pause)
    }

    /// Asks for the blob from `offset` on.
    async fn request(&mut self) -> Result<(), Failure> {
        let mut headers = HeaderMap::new();
        if self.offset > 0 {
            headers.insert(RANGE, HeaderValue::try_from(format!("bytes={}-", self.offset)).expect("digits are valid"));
        }
        let url = self.session.url("blobs", &self.digest);
        let sent = self.session.send(Method::GET, url, headers, &self.target).await;
        let response = sent.map_err(|failure| self.nothing_left(failure))?;
        self.skip = self.start_of(&response)?;
        self.response = Some(response);
        Ok(())
    }

    /// A registry that has no byte after the ones it sent has a shorter blob than it should, now and later.
    fn nothing_left(&self, failure: Failure) -> Failure {
        match failure.error {
            RegistryError::Status { status: 416, .. } if self.offset > 0 => self.wrong_size(self.offset).into(),
            _ => failure,
        }
    }

    /// How many bytes of this answer are not new, after checking that it is the one asked for.
    fn start_of(&self, response: &Response) -> Result<u64, RegistryError> {
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return match response.content_length() {
                Some(total) if total != self.size => Err(self.wrong_size(total)),
                _ => Ok(self.offset),
            };
        }
        let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match parse_content_range(range) {
            Some((start, total)) if start == self.offset => match total {
                Some(total) if total != self.size => Err(self.wrong_size(total)),
                _ => Ok(0),
            },
            _ => Err(RegistryError::Range {
                target: self.target.clone(),
                offset: self.offset,
                range: range.chars().filter(|c| !c.is_control()).collect(),
            }),
        }
    }

    async fn advance(&mut self) -> Result<Bytes, Failure> {
        loop {
            if self.offset == self.size && self.skip == 0 {
                return self.expect_end().await;
            }
            let Some(response) = &mut self.response else {
                self.request().await?;
                continue;
            };
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let new = self.accept(chunk)?;
                    if !new.is_empty() {
                        return Ok(new);
                    }
                }
                Ok(None) => return Err(Failure::later(self.cut(None))),
                Err(error) => {
                    // Names the transfer rather than the registry: it was reached, and then lost.
                    let source = http::transport_failure(&self.session.registry, error).error;
                    return Err(Failure::later(self.cut(Some(source))));
                }
            }
        }
    }

    /// Drops what is already known and counts the rest.
    fn accept(&mut self, mut chunk: Bytes) -> Result<Bytes, RegistryError> {
        let known = usize::try_from(self.skip).map_or(chunk.len(), |skip| skip.min(chunk.len()));
        chunk.advance(known);
        self.skip -= known as u64;
        let length = chunk.len() as u64;
        if length > self.size - self.offset {
            return Err(self.wrong_size(self.offset + length));
        }
        self.offset += length;
        self.attempts.advance(length);
        Ok(chunk)
    }

    /// After the last byte: more of them is a lie, an unclean end is nobody's loss.
    async fn expect_end(&mut self) -> Result<Bytes, Failure> {
        if let Some(mut response) = self.response.take()
            && let Ok(Some(chunk)) = response.chunk().await
            && !chunk.is_empty()
        {
            return Err(self.wrong_size(self.size + chunk.len() as u64).into());
        }
        Ok(Bytes::new())
    }

    fn wrong_size(&self, found: u64) -> RegistryError {
        RegistryError::BlobSize { target: self.target.clone(), expected: self.size, found }
    }

    fn cut(&self, source: Option<RegistryError>) -> RegistryError {
        RegistryError::BlobCut {
            target: self.target.clone(),
            offset: self.offset,
            size: self.size,
            attempts: self.attempts.made(),
            source: source.map(Into::into),
        }
    }
}

impl Read for BlobReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            self.chunk = self.next_chunk().map_err(io::Error::other)?;
        }
        let length = self.chunk.len().min(buffer.len());
        self.chunk.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// Parses `Content-Range: bytes FIRST-LAST/TOTAL` (RFC 9110 §14.4) into FIRST and TOTAL, which may be `*`.
fn parse_content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse::<u64>().ok()?);
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    (first <= last && total.is_none_or(|total| last < total)).then_some((first, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        for (value, parsed) in [
            ("bytes 5-9/10", Some((5, Some(10)))),
            ("bytes 0-0/*", Some((0, None))),
            ("bytes 5-10/10", None),
            ("bytes 9-5/10", None),
            ("bytes */10", None),
            ("items 5-9/10", None),
            ("", None),
        ] {
            assert_eq!(parse_content_range(value), parsed, "{value:?}");
        }
    }
}
