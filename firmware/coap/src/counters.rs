//! What happened, counted.

/// What happened, counted; each number begins anew after 4,294,967,295. Each datagram that comes in is counted once more under
/// what became of it: `received` is the sum of `malformed`, `pings`, `settled`, `stray`, `duplicates`, `answered`, `separate`,
/// `full`, `suppressed` and of the multicast requests that still wait ([`Server::waiting`](crate::Server::waiting)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams that came in.
    pub received: u32,
    /// Datagrams that went out.
    pub sent: u32,
    /// Malformed datagrams.
    pub malformed: u32,
    /// Empty confirmable messages.
    pub pings: u32,
    /// Acknowledgements and resets of what was sent.
    pub settled: u32,
    /// Acknowledgements, resets and responses that belonged to nothing.
    pub stray: u32,
    /// Repeated requests.
    pub duplicates: u32,
    /// Requests that were answered at once.
    pub answered: u32,
    /// Requests whose handler answers later.
    pub separate: u32,
    /// Requests refused because there was no room, no share left for the client, or no message ID for the answer; or dropped, when
    /// they came to a group.
    pub full: u32,
    /// Requests that got no answer, as they must or as they asked for.
    pub suppressed: u32,
    /// Registrations answered without one, because the table was full or the request too long to be kept.
    pub unobserved: u32,
    /// Messages sent again.
    pub retransmitted: u32,
    /// Separate responses and observers given up.
    pub given_up: u32,
    /// Observations, uploads and group requests that gave way to others.
    pub displaced: u32,
    /// Times that a notification was put off for want of a message ID, and separate responses dropped for want of one.
    pub deferred: u32,
}

impl Counters {
    pub(crate) const ZERO: Self = Self {
        received: 0,
        sent: 0,
        malformed: 0,
        pings: 0,
        settled: 0,
        stray: 0,
        duplicates: 0,
        answered: 0,
        separate: 0,
        full: 0,
        suppressed: 0,
        unobserved: 0,
        retransmitted: 0,
        given_up: 0,
        displaced: 0,
        deferred: 0,
    };
}

pub(crate) fn count(counter: &mut u32) {
    *counter = counter.wrapping_add(1);
}
