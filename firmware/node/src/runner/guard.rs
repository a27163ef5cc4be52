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
        let (slots, provision) = (&mut self.slots, &self.provision);
        let key = Key::read_kept(bytes);
        let done = match &key {
            Some(key) => keyring::put(slots, provision, place, key),
            None => keyring::empty(slots, provision, place, None),
        };
        self.key_changed(io, ticket, key.is_some(), done);
    }

    /// Empties a place, and withdraws the key of whoever came to it by a key exchange.
    pub(super) fn revoke(
        &mut self,
        io: &mut impl Io,
        ticket: u16,
        place: u8,
        initiator: Option<u8>,
    ) {
        let done = keyring::empty(&mut self.slots, &self.provision, place, initiator);
        self.key_changed(io, ticket, false, done);
    }

    fn key_changed(
        &mut self,
        io: &mut impl Io,
        ticket: u16,
        there: bool,
        done: Result<(), SlotError>,
    ) {
        self.follow(io);
        let (code, text) = match done {
            Ok(()) if there => (Code::CHANGED, ""),
            Ok(()) => (Code::DELETED, ""),
            // A package is being received or on trial, and the journals have no room: that passes.
            Err(SlotError::Full) => (Code::SERVICE_UNAVAILABLE, "storage: full for the moment"),
            Err(_) => (Code::INTERNAL_SERVER_ERROR, "storage: flash"),
        };
        self.post.answer(ticket, code, format_args!("{text}"));
    }
}
