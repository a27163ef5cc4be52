//! What a handler writes.
use crate::message::Code;
use crate::secret::BodyHash;
use core::fmt;
use core::hash::Hasher;

/// Whether a handler has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The response is written.
    Now,
    /// [`crate::Server::complete`] will be called with this ticket, which is unique among those pending.
    Later(u16),
}

/// A response in the making. The body may be of any length: of what is written, the wanted block is kept, and the ETag is
/// made from all of it. The handler runs again for each further block.
#[derive(Debug)]
pub struct Response<'b> {
    pub(crate) code: Option<Code>,
    pub(crate) format: Option<u16>,
    pub(crate) max_age: Option<u32>,
    pub(crate) size1: Option<u32>,
    pub(crate) echo: Option<[u8; 8]>,
    pub(crate) challenge: bool,
    pub(crate) location: &'static [&'static str],
    pub(crate) location_query: &'static [&'static str],
    window: &'b mut [u8],
    /// Offset in the body of the first byte kept.
    from: u32,
    total: u32,
    /// Of the body so far, and as it was before it.
    hash: BodyHash,
    empty: BodyHash,
}

impl<'b> Response<'b> {
    /// A response of whose body `window.len()` bytes from `from` are kept.
    pub(crate) fn new(window: &'b mut [u8], from: u32, hash: BodyHash) -> Self {
        Self {
            code: None,
            format: None,
            max_age: None,
            size1: None,
            echo: None,
            challenge: false,
            location: &[],
            location_query: &[],
            window,
            from,
            total: 0,
            hash,
            empty: hash,
        }
    }

    /// The response code. Without one it is 2.05 to GET and FETCH, 2.02 to DELETE, 2.04 to all else.
    pub fn code(&mut self, code: Code) {
        self.code = Some(code);
    }

    /// The format of the body.
    pub fn format(&mut self, format: u16) {
        self.format = Some(format);
    }

    /// For how many seconds the response stays fresh.
    pub fn max_age(&mut self, seconds: u32) {
        self.max_age = Some(seconds);
    }

    /// With 4.13: the largest body that is taken (RFC 7252 §5.9.2.9).
    pub fn size1(&mut self, bytes: u32) {
        self.size1 = Some(bytes);
    }

    /// With 4.01: what the next request is to echo (RFC 9175 §2.3).
    pub(crate) fn echo(&mut self, value: [u8; 8]) {
        self.echo = Some(value);
    }

    /// 4.01 with what the next request is to echo, for an endpoint that has not shown that it is where it says: then its request is
    /// dealt with as one of its own, and no longer as one of all strangers (RFC 9175 §2.3).
    pub fn challenge(&mut self) -> Answer {
        self.code = Some(Code::UNAUTHORIZED);
        self.challenge = true;
        Answer::Now
    }

    /// With 2.01: where the new resource is, the segments of its path and the parts of its query; 64 bytes in all.
    pub fn location(&mut self, path: &'static [&'static str], query: &'static [&'static str]) {
        self.location = path;
        self.location_query = query;
    }

    /// Adds to the body.
    pub fn write(&mut self, bytes: &[u8]) {
        self.hash.write(bytes);
        // What lies before the window is left out, and what lies behind it.
        let skip = self.from.saturating_sub(self.total) as usize;
        let at = self.total.saturating_sub(self.from) as usize;
        self.total = self.total.saturating_add(bytes.len() as u32);
        if let Some(kept) = bytes.get(skip..)
            && let Some(room) = self.window.get_mut(at..)
        {
            let count = kept.len().min(room.len());
            if let (Some(to), Some(from)) = (room.get_mut(..count), kept.get(..count)) {
                to.copy_from_slice(from);
            }
        }
    }

    /// An error with its diagnostic payload (RFC 7252 §5.5.2) instead of what was written so far.
    pub fn fail(&mut self, code: Code, text: fmt::Arguments<'_>) -> Answer {
        self.code = Some(code);
        self.format = None;
        self.total = 0;
        self.from = 0;
        self.hash = self.empty;
        let _ = fmt::Write::write_fmt(self, text);
        Answer::Now
    }

    /// The bytes written so far.
    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    /// The entity tag of the body written so far, with its format.
    pub(crate) fn etag(&self) -> [u8; 4] {
        let mut hash = self.hash;
        hash.write(&self.format.unwrap_or(0).to_be_bytes());
        hash.value().to_be_bytes()
    }

    /// How many bytes were kept.
    pub(crate) fn kept(&self) -> usize {
        let count = self.total.saturating_sub(self.from) as usize;
        count.min(self.window.len())
    }
}

impl fmt::Write for Response<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}
