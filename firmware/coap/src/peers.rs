//! Echo against amplification (RFC 9175 §2.4, item 3): which peers have shown that they are where they say.
//!
//! A peer that has not gets no more than a few times what it sent, but for an allowance that all such peers share; once that
//! is used up, a larger body comes in small blocks. Either has an Echo option, and who echoes the value in its next request
//! gets large blocks from then on. So clients that know nothing of Echo get everything, during an attack in more round trips,
//! and nobody is turned away with 4.01.
use crate::limits::{GIVEN_A_SECOND, GIVEN_AT_ONCE, PEERS};

#[derive(Clone, Copy, Debug)]
struct Peer<E> {
    from: E,
    challenge: [u8; 8],
    verified: bool,
    /// When it was last heard of, in turns.
    turn: u32,
}

#[derive(Debug)]
pub(crate) struct Peers<E> {
    all: [Option<Peer<E>>; PEERS],
    turn: u32,
    /// What is left of the allowance, and when it was last added to.
    allowance: u32,
    at: u64,
}

impl<E: Copy + Eq> Peers<E> {
    pub(crate) const fn new() -> Self {
        Self {
            all: [const { None }; PEERS],
            turn: 0,
            allowance: GIVEN_AT_ONCE,
            at: 0,
        }
    }

    /// Time goes by.
    pub(crate) fn refill(&mut self, now: u64) {
        let seconds = now.saturating_sub(self.at) / 1_000;
        if seconds > 0 {
            self.at = now;
            let more = seconds.saturating_mul(u64::from(GIVEN_A_SECOND));
            let sum = u64::from(self.allowance).saturating_add(more);
            self.allowance = sum.min(u64::from(GIVEN_AT_ONCE)) as u32;
        }
    }

    /// Takes so many bytes from the allowance, if it has them.
    pub(crate) fn give(&mut self, bytes: usize) -> bool {
        let left = self.allowance.checked_sub(bytes as u32);
        self.allowance = left.unwrap_or(self.allowance);
        left.is_some()
    }

    fn find(&mut self, from: E) -> Option<&mut Peer<E>> {
        self.turn = self.turn.wrapping_add(1);
        let turn = self.turn;
        let peer = self.all.iter_mut().flatten().find(|p| p.from == from)?;
        peer.turn = turn;
        Some(peer)
    }

    /// Whether a peer has shown itself; `echo` is what its request echoes.
    pub(crate) fn verified(&mut self, from: E, echo: Option<&[u8]>) -> bool {
        self.find(from).is_some_and(|peer| {
            peer.verified |= echo == Some(&peer.challenge);
            peer.verified
        })
    }

    /// What a peer is to echo: the same until it does. `fresh` is used when it was not asked before.
    pub(crate) fn challenge(&mut self, from: E, fresh: [u8; 8]) -> [u8; 8] {
        if let Some(peer) = self.find(from) {
            return peer.challenge;
        }
        let turn = self.turn;
        let peer = Peer {
            from,
            challenge: fresh,
            verified: false,
            turn,
        };
        // Who has shown itself stays while there is another to give way: forged requests push each other out.
        let age = |p: &Peer<E>| (!p.verified, turn.wrapping_sub(p.turn));
        let place = self.all.iter_mut().max_by_key(|p| match p {
            None => (true, u32::MAX),
            Some(p) => age(p),
        });
        if let Some(place) = place {
            *place = Some(peer);
        }
        fresh
    }
}
