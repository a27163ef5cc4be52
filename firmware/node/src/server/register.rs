//! The node's registration at a resource directory, as a part of its server.
use super::Server;
use crate::mail::LINE;
use crate::registration::{News, Registration};
use core::fmt::Write;
use core::hash::Hash;

impl<E: Copy + Eq + Hash> Server<E> {
    /// Has the node register at a resource directory by its name, for so many seconds at a time: see [`Registration`]. The seed
    /// differs from boot to boot.
    pub fn register(&mut self, now: u64, directory: E, lifetime: u32, seed: u64) {
        let name = self.resources.provision.name;
        self.registration = Registration::new(directory, name, lifetime, seed, now);
    }

    /// The node has another address.
    pub fn moved(&mut self, now: u64) {
        if let Some(registration) = &mut self.registration {
            registration.moved(now);
        }
    }

    pub(super) fn registered(&mut self, now: u64, news: Option<News>) {
        let mut line = heapless::String::<LINE>::new();
        let _ = match news {
            None => return,
            Some(News::Registered) => line.push_str("the directory knows the node").ok(),
            Some(News::Silent) => line.push_str("the directory does not answer").ok(),
            Some(News::Refused(code)) => write!(line, "the directory refuses: {code}").ok(),
        };
        self.log(now, &line);
    }
}
