//! What a node keeps in RAM beside the module's region: the queues between its halves and the tables of each. A value that a
//! constant expression makes, so that a board puts it in a static and it never lies on a stack, where half of the chip's
//! RAM would have to be free for it during start-up.
use crate::mail::{Mail, RunnerMail, ServerMail};
use crate::runner::Room;
use crate::server::{History, Log};

/// The memory of both halves, with clients that are addressed by `E`.
pub struct Memory<E> {
    mail: Mail,
    coap: wasmote_coap::Server<E>,
    history: History,
    log: Log,
    scratch: Room,
}

/// The Server's share.
pub struct ServerMemory<E: 'static> {
    pub(crate) mail: ServerMail,
    pub(crate) coap: &'static mut wasmote_coap::Server<E>,
    pub(crate) history: &'static mut History,
    pub(crate) log: &'static mut Log,
}

/// The Runner's share.
pub struct RunnerMemory {
    pub(crate) mail: RunnerMail,
    pub(crate) scratch: &'static mut Room,
}

impl<E: Copy + Eq> Default for Memory<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: Copy + Eq> Memory<E> {
    /// Empty.
    pub const fn new() -> Self {
        Self {
            mail: Mail::new(),
            coap: wasmote_coap::Server::new(1),
            history: History::new(),
            log: Log::new(),
            scratch: Room::new(),
        }
    }

    /// The shares of the two halves.
    pub fn split(&'static mut self) -> (ServerMemory<E>, RunnerMemory) {
        let (server, runner) = self.mail.split();
        (
            ServerMemory {
                mail: server,
                coap: &mut self.coap,
                history: &mut self.history,
                log: &mut self.log,
            },
            RunnerMemory {
                mail: runner,
                scratch: &mut self.scratch,
            },
        )
    }
}
