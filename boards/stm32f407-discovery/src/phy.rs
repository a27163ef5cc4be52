//! The transceiver of the Ethernet link (LAN8720, or any other with the registers of IEEE 802.3 §22.2.4): looked for, and asked
//! again and again whether the cable is in. Never waits: one transfer at a time on the management bus, and the next when
//! that is done.

/// The management bus (MDIO) of a MAC.
pub trait Bus {
    /// Begins to read a register of a transceiver.
    fn read(&mut self, phy: u8, register: u8);
    /// Begins to write one.
    fn write(&mut self, phy: u8, register: u8, value: u16);
    /// What was read, once it is done; what was written, once it is.
    fn done(&mut self) -> Option<u16>;
}

/// Registers (IEEE 802.3 table 22-6).
const CONTROL: u8 = 0;
const STATUS: u8 = 1;
const IDENTIFIER: u8 = 2;
const ADVERTISED: u8 = 4;
const PARTNER: u8 = 5;
/// Control: negotiate, and begin now.
const NEGOTIATE: u16 = 1 << 12 | 1 << 9;
/// Advertised: 100 and 10 Mbit/s in full and half duplex, IEEE 802.3.
const ABILITIES: u16 = 0x01e1;
/// Status: negotiated, link.
const NEGOTIATED: u16 = 1 << 5;
const LINK: u16 = 1 << 2;
/// Milliseconds between two questions, and for which an answer is waited.
const PERIOD: u64 = 200;
const PATIENCE: u64 = 50;

/// What the ends of the cable have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// 100 Mbit/s; otherwise 10.
    pub fast: bool,
    /// Full duplex.
    pub full: bool,
}

/// Waits for a transfer, at most so many looks.
fn wait(bus: &mut impl Bus, looks: u32) -> Option<u16> {
    (0..looks).find_map(|_| bus.done())
}

/// Looks for a transceiver at all 32 addresses, each for at most so many looks at the bus.
pub fn find(bus: &mut impl Bus, looks: u32) -> Option<u8> {
    (0..32).find(|phy| {
        bus.read(*phy, IDENTIFIER);
        // A bus without anybody on it is all ones or all zeros.
        wait(bus, looks).is_some_and(|id| id != 0 && id != 0xffff)
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    None,
    Advertise,
    Negotiate,
    Status,
    Partner,
}

/// A transceiver that was found.
#[derive(Debug)]
pub struct Phy {
    address: u8,
    question: Question,
    asked: u64,
    link: Option<Link>,
}

impl Phy {
    /// The transceiver at this address, told to negotiate. Its link is down until it says otherwise.
    pub fn new(bus: &mut impl Bus, address: u8, now: u64) -> Self {
        bus.write(address, ADVERTISED, ABILITIES);
        Self {
            address,
            question: Question::Advertise,
            asked: now,
            link: None,
        }
    }

    /// To be called every few milliseconds; the link when it has changed.
    pub fn poll(&mut self, bus: &mut impl Bus, now: u64) -> Option<Option<Link>> {
        let waited = now.saturating_sub(self.asked);
        if self.question == Question::None {
            if waited >= PERIOD {
                self.ask(bus, Question::Status, now);
            }
            return None;
        }
        let Some(value) = bus.done() else {
            if waited < PATIENCE {
                return None;
            }
            // It has come off, or lost its power.
            self.question = Question::None;
            return self.change(None);
        };
        match self.question {
            Question::Advertise => self.ask(bus, Question::Negotiate, now),
            // All ones: nobody answers.
            Question::Status if value & LINK != 0 && value & NEGOTIATED != 0 && value != 0xffff => {
                self.ask(bus, Question::Partner, now);
            }
            Question::Status => {
                self.question = Question::None;
                return self.change(None);
            }
            Question::Partner => {
                self.question = Question::None;
                // The best that both can (IEEE 802.3 annex 28B.3): 100 full, 100 half, 10 full, 10 half.
                let common = value & ABILITIES;
                return self.change(Some(Link {
                    fast: common & 0x0180 != 0,
                    full: common & 0x0100 != 0 || common & 0x01c0 == 0x0040,
                }));
            }
            Question::Negotiate | Question::None => self.question = Question::None,
        }
        None
    }

    fn ask(&mut self, bus: &mut impl Bus, question: Question, now: u64) {
        match question {
            Question::Negotiate => bus.write(self.address, CONTROL, NEGOTIATE),
            Question::Partner => bus.read(self.address, PARTNER),
            _ => bus.read(self.address, STATUS),
        }
        (self.question, self.asked) = (question, now);
    }

    fn change(&mut self, link: Option<Link>) -> Option<Option<Link>> {
        let changed = link != self.link;
        self.link = link;
        changed.then_some(link)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// A bus with at most one transceiver on it.
    #[derive(Default)]
    struct Wires {
        at: Option<u8>,
        status: u16,
        partner: u16,
        written: Vec<(u8, u16)>,
        /// Whether transfers never end.
        stuck: bool,
        answer: u16,
    }

    impl Bus for Wires {
        fn read(&mut self, phy: u8, register: u8) {
            let value = match register {
                IDENTIFIER => 0x0007,
                STATUS => self.status,
                PARTNER => self.partner,
                _ => unreachable!(),
            };
            self.answer = if self.at == Some(phy) { value } else { 0xffff };
        }
        fn write(&mut self, phy: u8, register: u8, value: u16) {
            assert_eq!(self.at, Some(phy));
            self.written.push((register, value));
        }
        fn done(&mut self) -> Option<u16> {
            (!self.stuck).then_some(self.answer)
        }
    }

    const UP: u16 = 0x7809 | NEGOTIATED | LINK;

    fn plugged(at: u8) -> Wires {
        Wires {
            at: Some(at),
            ..Wires::default()
        }
    }

    /// What is told within a second.
    fn second(phy: &mut Phy, wires: &mut Wires, start: u64) -> Vec<Option<Link>> {
        (start..start + 1000)
            .filter_map(|now| phy.poll(wires, now))
            .collect()
    }

    #[test]
    fn a_transceiver_is_found_wherever_it_is() {
        for at in 0..32 {
            assert_eq!(find(&mut plugged(at), 3), Some(at));
        }
    }

    #[test]
    fn a_board_without_one_has_none() {
        assert_eq!(find(&mut Wires::default(), 3), None);
        let mut stuck = plugged(0);
        stuck.stuck = true;
        assert_eq!(find(&mut stuck, 3), None);
        // As read from an address where nothing is.
        struct Zeros;
        impl Bus for Zeros {
            fn read(&mut self, _: u8, _: u8) {}
            fn write(&mut self, _: u8, _: u8, _: u16) {}
            fn done(&mut self) -> Option<u16> {
                Some(0)
            }
        }
        assert_eq!(find(&mut Zeros, 3), None);
    }

    #[test]
    fn the_link_goes_up_and_down() {
        let mut wires = plugged(1);
        let mut phy = Phy::new(&mut wires, 1, 0);
        assert_eq!(second(&mut phy, &mut wires, 0), []);
        assert_eq!(
            wires.written,
            [(ADVERTISED, ABILITIES), (CONTROL, NEGOTIATE)]
        );
        (wires.status, wires.partner) = (UP, 0xcde1);
        let link = Link {
            fast: true,
            full: true,
        };
        assert_eq!(second(&mut phy, &mut wires, 1000), [Some(link)]);
        assert_eq!(second(&mut phy, &mut wires, 2000), []);
        wires.status &= !LINK;
        assert_eq!(second(&mut phy, &mut wires, 3000), [None]);
        wires.status = UP;
        assert_eq!(second(&mut phy, &mut wires, 4000), [Some(link)]);
    }

    #[test]
    fn both_ends_agree_on_the_best_that_both_can() {
        for (partner, fast, full) in [
            (0x0101, true, true),
            (0x01e1, true, true),
            (0x0081, true, false),
            (0x00c1, true, false),
            (0x0061, false, true),
            (0x0041, false, true),
            (0x0021, false, false),
            (0x0001, false, false),
        ] {
            let mut wires = plugged(0);
            (wires.status, wires.partner) = (UP, partner);
            let mut phy = Phy::new(&mut wires, 0, 0);
            let link = Link { fast, full };
            assert_eq!(
                second(&mut phy, &mut wires, 0),
                [Some(link)],
                "{partner:#x}"
            );
        }
    }

    #[test]
    fn a_transceiver_that_comes_off_is_a_link_that_is_down() {
        for gone in [true, false] {
            let mut wires = plugged(0);
            (wires.status, wires.partner) = (UP, 0x01e1);
            let mut phy = Phy::new(&mut wires, 0, 0);
            assert_eq!(second(&mut phy, &mut wires, 0).len(), 1);
            if gone {
                wires.at = None;
            } else {
                wires.stuck = true;
            }
            assert_eq!(second(&mut phy, &mut wires, 1000), [None]);
        }
    }
}
