//! What the security stage needs of the flash: sequence numbers that are reserved ahead, and contexts that come and go.
use super::{Io, Runner};
use crate::keyring::{self, Key};
use crate::slot::{Flash, SlotError};
use wasmote_coap::Code;

impl<F: Flash> Runner<F> {
    /// Reserves the sequence numbers that the Server asked for; whether it had.
    pub(super) fn reserve(&mut self, io: &mut impl Io) -> bool {
        if !self.post.mail.reserved.ready() {
            return false;
        }
        let Some(limits) = self.post.mail.reserve.dequeue() else {
            return false;
        };
        let done = keyring::reserve(&mut self.slots, &self.provision, &limits);
        self.follow(io);
        let _ = self.post.mail.reserved.enqueue(done.ok().map(|()| limits));
        true
    }

    /// Puts a context in a place, or empties it.
    pub(super) fn change_key(&mut self, io: &mut impl Io, ticket: u16, place: u8, bytes: &[u8]) {
        let key = Key::read(bytes);
        let done = keyring::change(&mut self.slots, &self.provision, place, key.as_ref());
        self.follow(io);
        let (code, text) = match done {
            Ok(()) if key.is_some() => (Code::CHANGED, ""),
            Ok(()) => (Code::DELETED, ""),
            // A package is being received or on trial, and the journals have no room: that passes.
            Err(SlotError::Full) => (Code::SERVICE_UNAVAILABLE, "storage: full for the moment"),
            Err(_) => (Code::INTERNAL_SERVER_ERROR, "storage: flash"),
        };
        self.post.answer(ticket, code, format_args!("{text}"));
    }
}
