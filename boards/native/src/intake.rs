//! What comes in for a node, from the threads that wait for it: datagrams, lines of standard input, word from the Runner.
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// By UDP, from this address.
    Udp(SocketAddr),
    /// At the other end of the serial line.
    Serial,
}

impl Peer {
    /// The host of a client; nothing for the one at the serial line.
    pub fn host(&self) -> Option<IpAddr> {
        match self {
            Self::Udp(address) => Some(address.ip()),
            Self::Serial => None,
        }
    }
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

/// Datagrams that wait for the Server. So many are answered in a few milliseconds, and the memory for them is bounded.
const WAITING: usize = 64;

type Datagram = (Peer, bool, Vec<u8>);

/// Datagrams in the order in which they are dealt with: the hosts in turn, and of each host its ports in turn. When there are too
/// many, the host and the port with the most lose their newest. So whoever floods loses his own, and before anybody else's datagram
/// lies one of each host that has some.
#[derive(Debug, Default)]
struct Turns {
    hosts: VecDeque<Host>,
    count: usize,
}

#[derive(Debug)]
struct Host {
    host: Option<IpAddr>,
    ports: VecDeque<VecDeque<Datagram>>,
}

impl Host {
    fn count(&self) -> usize {
        self.ports.iter().map(VecDeque::len).sum()
    }
}

impl Turns {
    /// Takes a datagram; how many bytes were dropped for it.
    fn put(&mut self, datagram: Datagram) -> usize {
        let peer = datagram.0;
        let of_peer = |port: &VecDeque<Datagram>| port.front().is_some_and(|d| d.0 == peer);
        self.count += 1;
        if let Some(host) = self.hosts.iter_mut().find(|h| h.host == peer.host()) {
            match host.ports.iter_mut().find(|port| of_peer(port)) {
                Some(port) => port.push_back(datagram),
                None => host.ports.push_back([datagram].into()),
            }
        } else {
            self.hosts.push_back(Host {
                host: peer.host(),
                ports: [[datagram].into()].into(),
            });
        }
        if self.count > WAITING {
            self.drop_newest()
        } else {
            0
        }
    }

    /// Drops the newest datagram of whoever has the most; its bytes.
    fn drop_newest(&mut self) -> usize {
        let host = self.hosts.iter_mut().max_by_key(|host| host.count());
        let Some(host) = host else { return 0 };
        let port = host.ports.iter_mut().max_by_key(|port| port.len());
        let dropped = port.and_then(VecDeque::pop_back);
        host.ports.retain(|port| !port.is_empty());
        self.hosts.retain(|host| !host.ports.is_empty());
        self.count -= usize::from(dropped.is_some());
        dropped.map_or(0, |(_, _, bytes)| bytes.len())
    }

    /// The next one.
    fn take(&mut self) -> Option<Datagram> {
        let mut host = self.hosts.pop_front()?;
        let mut port = host.ports.pop_front()?;
        let next = port.pop_front();
        if !port.is_empty() {
            host.ports.push_back(port);
        }
        if !host.ports.is_empty() {
            self.hosts.push_back(host);
        }
        self.count -= usize::from(next.is_some());
        next
    }
}

#[derive(Debug, Default)]
struct Waiting {
    datagrams: Turns,
    /// Commands, and that something has ended: only the one who started the node sends them, without bounds.
    others: VecDeque<Event>,
    /// Whether word from the Runner waits.
    told: bool,
    /// Whether it is the others' turn.
    turn: bool,
    /// The node has gone.
    closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    news: Condvar,
    lost: AtomicU32,
    damaged: AtomicU32,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put<T>(&self, put: impl FnOnce(&mut Waiting) -> T) -> T {
        let result = put(&mut self.waiting());
        self.news.notify_one();
        result
    }
}

/// How events reach a node.
#[derive(Clone, Debug)]
pub struct Intake(Arc<Shared>);

/// The node's end. When it is dropped, its [`Intake`]s take no more.
#[derive(Debug)]
pub struct Inbox(Arc<Shared>);

impl Intake {
    /// An intake, and the end that the node reads.
    pub fn new() -> (Self, Inbox) {
        let shared = Arc::<Shared>::default();
        (Self(shared.clone()), Inbox(shared))
    }

    /// Hands over a datagram; `false` when the node has gone. When too many wait, one of whoever sent most of them is dropped.
    pub fn datagram(&self, from: Peer, multicast: bool, datagram: &[u8]) -> bool {
        self.0.put(|waiting| {
            if !waiting.closed {
                let lost = waiting.datagrams.put((from, multicast, datagram.to_vec()));
                self.0.lost.fetch_add(lost as u32, Ordering::Relaxed);
            }
            !waiting.closed
        })
    }

    /// So many frames of the serial line were damaged by now.
    pub fn damaged(&self, count: u32) {
        self.0.damaged.store(count, Ordering::Relaxed);
    }

    /// Says that the Runner has something for the Server.
    pub fn tell(&self) {
        self.0.put(|waiting| waiting.told = true);
    }

    /// Hands over what is never dropped.
    pub fn send(&self, event: Event) {
        self.0.put(|waiting| waiting.others.push_back(event));
    }
}

impl Inbox {
    /// The next event; nothing when none comes in this time.
    pub fn wait(&self, time: Duration) -> Option<Event> {
        let empty = |w: &mut Waiting| !w.told && w.others.is_empty() && w.datagrams.count == 0;
        let waiting = self.0.waiting();
        let ended = self.0.news.wait_timeout_while(waiting, time, empty);
        let (mut waiting, _) = ended.unwrap_or_else(PoisonError::into_inner);
        // The node asks the Runner before it waits again, whatever it gets.
        let told = core::mem::take(&mut waiting.told);
        let other = |w: &mut Waiting| w.others.pop_front();
        let datagram = |w: &mut Waiting| {
            let (from, multicast, bytes) = w.datagrams.take()?;
            Some(Event::Datagram(from, multicast, bytes))
        };
        // One after the other, so that neither keeps the other waiting.
        waiting.turn = !waiting.turn;
        let next = if waiting.turn {
            other(&mut waiting).or_else(|| datagram(&mut waiting))
        } else {
            datagram(&mut waiting).or_else(|| other(&mut waiting))
        };
        next.or_else(|| told.then_some(Event::Memory))
    }

    /// Bytes of datagrams that were dropped.
    pub fn lost(&self) -> u32 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// Frames of the serial line that were damaged.
    pub fn damaged(&self) -> u32 {
        self.0.damaged.load(Ordering::Relaxed)
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.0.waiting().closed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: u8, port: u16) -> Peer {
        Peer::Udp(SocketAddr::from(([127, 0, 0, host], port)))
    }

    /// Who is dealt with, in order, until nothing waits.
    fn order(inbox: &Inbox) -> Vec<(Peer, u8)> {
        core::iter::from_fn(|| match inbox.wait(Duration::ZERO)? {
            Event::Datagram(from, _, bytes) => Some((from, bytes.first().copied()?)),
            _ => None,
        })
        .collect()
    }

    #[test]
    fn what_no_place_is_left_for_is_dropped_and_its_bytes_are_counted() {
        let (intake, inbox) = Intake::new();
        for _ in 0..WAITING + 10 {
            assert!(intake.datagram(Peer::Serial, false, &[0; 7]));
        }
        assert_eq!(inbox.lost(), 70);
        // Commands are not, and wait for no more than one datagram.
        let next = || inbox.wait(Duration::ZERO);
        for _ in 0..3 {
            intake.send(Event::Command("sample level 1".to_owned()));
        }
        let commands = (0..6).filter(|_| matches!(next(), Some(Event::Command(_))));
        assert_eq!(commands.count(), 3);
        // Word from the Runner waits once, for nothing else to be there: the node asks it after each event.
        (0..5).for_each(|_| intake.tell());
        assert_eq!(order(&inbox).len(), WAITING - 3);
        assert!(next().is_none());
        (0..5).for_each(|_| intake.tell());
        assert!(matches!(next(), Some(Event::Memory)));
        assert!(next().is_none());
        // When they were taken there is room again.
        assert!(intake.datagram(Peer::Serial, false, &[0; 7]));
        assert_eq!((order(&inbox).len(), inbox.lost()), (1, 70));
        drop(inbox);
        assert!(
            !intake.datagram(Peer::Serial, false, &[0; 7]),
            "nobody is there"
        );
    }

    #[test]
    fn before_an_answer_lies_one_datagram_of_each_host_that_floods() {
        let (intake, inbox) = Intake::new();
        let honest = at(9, 5_683);
        // Three hosts flood, one of them from a thousand ports; meanwhile somebody asks once.
        for n in 0..3_000u16 {
            let flood = match n % 3 {
                0 => at(1, 1_000),
                1 => at(2, 1_000),
                _ => at(3, 10_000 + n % 1_000),
            };
            intake.datagram(flood, false, &[0; 10]);
            if n == 1_500 {
                intake.datagram(honest, false, &[1]);
            }
        }
        let all = order(&inbox);
        assert_eq!(all.len(), WAITING);
        let place = all.iter().position(|(from, _)| *from == honest);
        assert!(place.is_some_and(|place| place <= 3), "{place:?}");
        assert_eq!(inbox.lost(), (3_001 - WAITING as u32) * 10);
    }

    #[test]
    fn the_ports_of_a_host_have_their_turns_and_each_keeps_its_order() {
        let (intake, inbox) = Intake::new();
        let honest = at(1, 9);
        for n in 0..200 {
            intake.datagram(at(1, 1), false, &[n]);
        }
        for n in 0..3 {
            intake.datagram(honest, false, &[n]);
        }
        let all = order(&inbox);
        let own = |peer| {
            let mut its = all.iter().enumerate().filter(move |(_, one)| one.0 == peer);
            core::iter::from_fn(move || its.next().map(|(place, one)| (place, one.1)))
        };
        assert_eq!(own(honest).collect::<Vec<_>>(), [(1, 0), (3, 1), (5, 2)]);
        let flood: Vec<u8> = own(at(1, 1)).map(|(_, n)| n).collect();
        assert_eq!(flood, (0..WAITING as u8 - 3).collect::<Vec<_>>());
    }
}
