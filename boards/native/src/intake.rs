//! What comes in for a node, from the threads that wait for it: datagrams, lines of standard input, word from the Runner.
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Where a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// By UDP, from this address.
    Udp(SocketAddr),
    /// At the other end of the serial line.
    Serial,
}

/// What a node waits for.
#[derive(Debug)]
pub enum Event {
    /// A datagram, whence it came, and whether it was sent to the multicast group.
    Datagram(Peer, bool, Vec<u8>),
    /// A line of standard input.
    Command(String),
    /// The Runner has something to say.
    Memory,
    /// Standard input or the serial line has ended.
    Closed,
}

/// Datagrams that wait for the Server; the next one is dropped, and its bytes counted as lost. So many are answered in a few
/// milliseconds, and the memory for them is bounded.
const WAITING: usize = 64;

/// How events reach a node: datagrams no more than [`WAITING`], word from the Runner once, and the rest, which only the one who
/// started it sends, without bounds.
#[derive(Clone, Debug)]
pub struct Intake {
    events: Sender<Event>,
    /// What it counts.
    pub state: Arc<IntakeState>,
}

/// What an intake counts.
#[derive(Debug, Default)]
pub struct IntakeState {
    waiting: AtomicUsize,
    /// Bytes of datagrams that were dropped.
    pub lost: AtomicU32,
    /// Frames of the serial line that were damaged.
    pub damaged: AtomicU32,
    /// Whether word from the Runner waits.
    told: AtomicBool,
}

impl Intake {
    /// An intake, and the end that the node reads.
    pub fn new() -> (Self, Receiver<Event>) {
        let (events, inbox) = channel();
        let state = Arc::default();
        (Self { events, state }, inbox)
    }

    /// Hands over a datagram or drops it; `false` when the node has gone.
    pub fn datagram(&self, from: Peer, multicast: bool, datagram: &[u8]) -> bool {
        if self.state.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING {
            self.state.waiting.fetch_sub(1, Ordering::Relaxed);
            let length = datagram.len() as u32;
            self.state.lost.fetch_add(length, Ordering::Relaxed);
            return true;
        }
        let event = Event::Datagram(from, multicast, datagram.to_vec());
        self.events.send(event).is_ok()
    }

    /// Says that the Runner has something for the Server.
    pub fn tell(&self) {
        if !self.state.told.swap(true, Ordering::Relaxed) {
            let _ = self.events.send(Event::Memory);
        }
    }

    /// Hands over what is never dropped.
    pub fn send(&self, event: Event) {
        // Whoever has gone needs it no more.
        let _ = self.events.send(event);
    }

    /// The node has taken an event.
    pub fn taken(&self, event: &Event) {
        match event {
            Event::Datagram(..) => drop(self.state.waiting.fetch_sub(1, Ordering::Relaxed)),
            Event::Memory => self.state.told.store(false, Ordering::Relaxed),
            Event::Command(_) | Event::Closed => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_place_is_left_for_is_dropped_and_its_bytes_are_counted() {
        let (intake, inbox) = Intake::new();
        for _ in 0..WAITING + 10 {
            assert!(intake.datagram(Peer::Serial, false, &[0; 7]));
        }
        assert_eq!(intake.state.lost.load(Ordering::Relaxed), 70);
        // Commands and word from the Runner are not: the latter waits once.
        intake.send(Event::Command("quit".to_owned()));
        (0..5).for_each(|_| intake.tell());
        let waiting: Vec<Event> = inbox.try_iter().inspect(|e| intake.taken(e)).collect();
        assert_eq!(waiting.len(), WAITING + 2);
        // When they were taken there is room again.
        intake.tell();
        assert!(intake.datagram(Peer::Serial, false, &[0; 7]));
        assert_eq!(inbox.try_iter().count(), 2);
        assert_eq!(intake.state.lost.load(Ordering::Relaxed), 70);
        drop(inbox);
        assert!(
            !intake.datagram(Peer::Serial, false, &[0; 7]),
            "nobody is there"
        );
    }
}
