//! What a node keeps in RAM beside the module's region: the queues between its halves and the tables of each. A board puts it
//! in a static, which costs no flash: what is not all zeros is made where it stays, part by part.
use crate::history::History;
use crate::log::Log;
use crate::mail::{Body, Mail, RunnerMail, ServerMail};

use core::hash::Hash;
use core::mem::MaybeUninit;
use wasmote_oscore::Stage;

/// The CoAP server with the security stage before it.
pub(crate) type Guarded<E> = wasmote_coap::Server<E, Stage>;

/// Room for validation: what needs more is refused, on every board and by the build on the laptop.
pub type Room = wasmote_engine::Scratch<2048, 64, 256>;

/// The memory of both halves, with clients that are addressed by `E`.
pub struct Memory<E> {
    mail: Mail,
    /// Made when the shares are handed out: the empty table of an `Option` is not all zeros, and a static that is not takes as
    /// much flash as RAM.
    coap: MaybeUninit<Guarded<E>>,
    history: History,
    log: Log,
    body: Body,
    /// As `coap`.
    scratch: MaybeUninit<Room>,
}

/// The Server's share.
pub struct ServerMemory<E: 'static> {
    pub(crate) mail: ServerMail,
    pub(crate) coap: &'static mut Guarded<E>,
    pub(crate) history: &'static mut History,
    pub(crate) log: &'static mut Log,
    pub(crate) body: &'static mut Body,
}

/// The Runner's share.
pub struct RunnerMemory {
    pub(crate) mail: RunnerMail,
    pub(crate) scratch: &'static mut Room,
}

impl<E: Copy + Eq + Hash> Default for Memory<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: Copy + Eq + Hash> Memory<E> {
    /// Empty.
    pub const fn new() -> Self {
        Self {
            mail: Mail::new(),
            coap: MaybeUninit::uninit(),
            history: History::new(),
            log: Log::new(),
            body: Body::new(),
            scratch: MaybeUninit::uninit(),
        }
    }

    /// The shares of the two halves.
    pub fn split(&'static mut self) -> (ServerMemory<E>, RunnerMemory) {
        let (server, runner) = self.mail.split();
        (
            ServerMemory {
                mail: server,
                coap: make_coap(&mut self.coap),
                history: &mut self.history,
                log: &mut self.log,
                body: &mut self.body,
            },
            RunnerMemory {
                mail: runner,
                scratch: make_room(&mut self.scratch),
            },
        )
    }
}

// Each in a function of its own, so that the stack has room for one of them at most.

#[inline(never)]
fn make_coap<E: Copy + Eq + Hash>(place: &mut MaybeUninit<Guarded<E>>) -> &mut Guarded<E> {
    place.write(wasmote_coap::Server::with(1, Stage::new()))
}

#[inline(never)]
fn make_room(place: &mut MaybeUninit<Room>) -> &mut Room {
    place.write(Room::new())
}
