//! The server behind a network that loses, doubles, delays and reorders datagrams, on a virtual clock and from a seed: four
//! clients that do as RFC 7252 says, and what becomes of their requests. The table is reviewed: test/golden/coap-lossy.md.
//! WASMOTE_GOLDEN=write writes it anew.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]
mod rig;

use rig::{Msg, Random, Rig, VALUE, block, hex, large};
use std::collections::BTreeMap;
use std::fmt::Write;
use wasmote_coap::{Code, Kind, option};

/// What the network does, in percent and milliseconds.
#[derive(Clone, Copy)]
struct Network {
    loss: u64,
    doubled: u64,
    /// The longest delay: short delays keep the order, long ones do not.
    delay: u64,
}

/// A datagram on its way.
struct Flight {
    at: u64,
    /// To this client, or from it.
    client: u8,
    down: bool,
    bytes: Vec<u8>,
}

/// What a client wants.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Wish {
    Post,
    Slow,
    Download,
    Upload,
    Observe,
}

const WISHES: [(Wish, &str); 5] = [
    (Wish::Post, "POST"),
    (Wish::Slow, "POST, answered after 3 s"),
    (Wish::Download, "GET, 20 blocks"),
    (Wish::Upload, "PUT, 16 blocks"),
    (Wish::Observe, "observe, 20 changes"),
];

#[derive(Default, Clone)]
struct Outcome {
    tried: u32,
    done: u32,
    /// Given up by the client, of which so many had been carried out all the same.
    given_up: u32,
    carried_out: u32,
    wrong: u32,
}

/// A confirmable request on its way (RFC 7252 §4.2).
struct Request {
    message: Msg,
    attempts: u32,
    deadline: u64,
    time_out: u64,
    acknowledged: bool,
}

/// A client that does one thing after the other.
struct Client {
    number: u8,
    id: u16,
    random: Random,
    wishes: Vec<Wish>,
    current: Option<Request>,
    /// The block that is next, and the body so far.
    block: u32,
    body: Vec<u8>,
    tag: Vec<u8>,
    /// Token of the observation, the newest sequence and value, and when the last one came.
    observes: Option<Vec<u8>>,
    newest: Option<(u32, u32)>,
    told: u64,
    begun: u64,
    /// The node was full: when to try again.
    pause: u64,
    /// Message IDs that the server used lately (RFC 7252 §4.5).
    seen: Vec<u16>,
    requests: u32,
}

const CLIENTS: u8 = 4;
/// How long a client waits for a response that was acknowledged.
const PATIENCE: u64 = 120_000;
/// How long an observation lasts: the changes, and the time to hear of the last one.
const OBSERVES: u64 = 20 * 3_000 + 100_000;

struct Simulation {
    rig: Rig,
    network: Network,
    random: Random,
    flights: Vec<Flight>,
    datagrams: u64,
    outcomes: BTreeMap<Wish, Outcome>,
}

impl Simulation {
    fn carry(&mut self, client: u8, down: bool, bytes: &[u8]) {
        self.datagrams += 1;
        let copies = 1 + u64::from(self.random.percent(self.network.doubled));
        for _ in 0..copies {
            if self.random.percent(self.network.loss) {
                continue;
            }
            let at = self.rig.now + 1 + self.random.below(self.network.delay);
            self.flights.push(Flight {
                at,
                client,
                down,
                bytes: bytes.to_vec(),
            });
        }
    }

    fn outcome(&mut self, wish: Wish) -> &mut Outcome {
        self.outcomes.entry(wish).or_default()
    }

    fn run(&mut self) {
        let mut clients: Vec<Client> = (1..=CLIENTS).map(Client::new).collect();
        let mut changes = 0;
        loop {
            let now = self.rig.now;
            for client in &mut clients {
                client.step(now, self);
            }
            // A value that changes every three seconds while it is observed, and then stays.
            if clients.iter().all(|c| c.observing()) && changes < 20 && now.is_multiple_of(3_000) {
                changes += 1;
                self.rig.app.value += 1;
                self.rig.server.notify(VALUE);
            }
            for (to, bytes) in self.rig.poll() {
                self.carry(to, true, &bytes);
            }
            let (due, later): (Vec<_>, Vec<_>) = self.flights.drain(..).partition(|f| f.at <= now);
            self.flights = later;
            for flight in due {
                if flight.down {
                    let client = &mut clients[usize::from(flight.client) - 1];
                    client.receive(&Msg::read(&flight.bytes), self);
                } else {
                    for (to, bytes) in self.rig.datagram(flight.client, false, &flight.bytes) {
                        self.carry(to, true, &bytes);
                    }
                }
            }
            if clients.iter().all(Client::idle) && self.flights.is_empty() {
                return;
            }
            assert!(now < 100_000_000, "the simulation comes to no end");
            // In steps of a millisecond while something flies, in longer ones otherwise.
            let next = self.flights.iter().map(|f| f.at).min().unwrap_or(now + 500);
            let tick = now - now % 500 + 500;
            self.rig.now = next.clamp(now + 1, tick);
        }
    }
}

impl Client {
    fn new(number: u8) -> Self {
        let mut wishes = vec![];
        for _ in 0..12 {
            wishes.extend([
                Wish::Post,
                Wish::Post,
                Wish::Slow,
                Wish::Download,
                Wish::Upload,
            ]);
        }
        wishes.push(Wish::Observe);
        Self {
            number,
            id: u16::from(number) << 12,
            random: Random(u64::from(number) * 77),
            wishes,
            current: None,
            block: 0,
            body: vec![],
            tag: vec![],
            observes: None,
            newest: None,
            told: 0,
            begun: 0,
            pause: 0,
            seen: vec![],
            requests: 0,
        }
    }

    fn idle(&self) -> bool {
        self.wishes.is_empty()
    }

    fn observing(&self) -> bool {
        self.wishes.first() == Some(&Wish::Observe) && self.observes.is_some()
            || self.wishes.is_empty()
    }

    /// The next request of the present wish, with a token of its own.
    fn request(&mut self) -> Msg {
        self.id = self.id.wrapping_add(1);
        self.requests += 1;
        let token = [self.number, (self.requests >> 8) as u8, self.requests as u8];
        let unique = [self.number, (self.requests >> 8) as u8, self.requests as u8];
        let message = match self.wishes[0] {
            Wish::Post => Msg::new(Code::POST, self.id, "count").body(unique),
            Wish::Slow => Msg::new(Code::POST, self.id, "slow").body(unique),
            Wish::Download => Msg::new(Code::GET, self.id, "large")
                .with(option::BLOCK2, block(self.block, false, 64)),
            Wish::Upload => {
                if self.block == 0 {
                    self.tag = unique.to_vec();
                }
                let more = self.block < 15;
                Msg::new(Code::PUT, self.id, "upload")
                    .with(option::URI_QUERY, format!("n={}", hex(&self.tag)))
                    .with(option::REQUEST_TAG, &self.tag)
                    .with(option::BLOCK1, block(self.block, more, 64))
                    .body([self.block as u8; 64])
            }
            Wish::Observe => Msg::new(Code::GET, self.id, "value").with(option::OBSERVE, []),
        };
        message.token(&token)
    }

    fn step(&mut self, now: u64, sim: &mut Simulation) {
        let Some(&wish) = self.wishes.first() else {
            return;
        };
        if let Some(request) = &mut self.current {
            if now < request.deadline {
                return;
            }
            if request.acknowledged || request.attempts > 4 {
                self.finish(sim, None);
                return;
            }
            let bytes = request.message.bytes();
            request.attempts += 1;
            request.deadline = now + request.time_out;
            request.time_out *= 2;
            sim.carry(self.number, false, &bytes);
            return;
        }
        if self.observes.is_some() {
            if now >= self.begun + OBSERVES {
                let value = sim.rig.app.value;
                let heard = self.newest.is_some_and(|(_, v)| v == value);
                self.wishes.remove(0);
                self.observes = None;
                let outcome = sim.outcome(wish);
                outcome.done += u32::from(heard);
                // Who was not heard for too long has been removed; it would register again after Max-Age (RFC 7641 §3.3.1).
                outcome.given_up += u32::from(!heard);
            }
            return;
        }
        if now < self.pause {
            return;
        }
        if self.block == 0 && self.pause == 0 {
            sim.outcome(wish).tried += 1;
        }
        self.pause = 0;
        let message = self.request();
        let time_out = 2_000 + self.random.below(1_000);
        self.current = Some(Request {
            message,
            attempts: 0,
            deadline: now,
            time_out,
            acknowledged: false,
        });
        self.step(now, sim);
    }

    /// The present request has its response, or none that came in time.
    fn finish(&mut self, sim: &mut Simulation, response: Option<&Msg>) {
        // RFC 7252 §5.9.3.4: full for the moment. Tried again, as a request of its own.
        if let Some(r) = response
            && r.code == Code::SERVICE_UNAVAILABLE
        {
            self.current = None;
            self.pause = sim.rig.now + 1_000 * u64::from(r.uint(option::MAX_AGE).unwrap());
            return;
        }
        let request = self.current.take().unwrap().message;
        let wish = self.wishes[0];
        let good = response.is_some_and(|r| r.code.class() == 2);
        let path = String::from_utf8(request.options[0].1.clone()).unwrap();
        let key = format!("{path} {}", hex(&request.payload));
        match wish {
            Wish::Post | Wish::Slow if !good => {
                let ran = sim.rig.app.handled.contains_key(&key);
                sim.outcome(wish).carried_out += u32::from(ran);
            }
            Wish::Post | Wish::Slow => {
                let ran = sim.rig.app.handled.get(&key) == Some(&1);
                sim.outcome(wish).wrong += u32::from(!ran);
            }
            Wish::Download if good => {
                let r = response.unwrap();
                let (number, more, _) = r.block(option::BLOCK2).expect("a block");
                assert_eq!(number, self.block);
                self.body.extend_from_slice(&r.payload);
                self.block += 1;
                if more {
                    return;
                }
                let wrong = self.body != large(0);
                sim.outcome(wish).wrong += u32::from(wrong);
            }
            Wish::Upload if good => {
                self.block += 1;
                if self.block < 16 {
                    return;
                }
                let whole: Vec<u8> = (0..16u8).flat_map(|b| [b; 64]).collect();
                let wrong = sim.rig.app.uploads.get(&hex(&self.tag)) != Some(&whole);
                sim.outcome(wish).wrong += u32::from(wrong);
            }
            Wish::Upload => {
                let ran = sim.rig.app.uploads.contains_key(&hex(&self.tag));
                sim.outcome(wish).carried_out += u32::from(ran);
            }
            Wish::Observe if good => {
                let r = response.unwrap();
                self.observes = Some(request.token.clone());
                self.begun = sim.rig.now;
                self.tell(sim, r);
                return;
            }
            _ => {}
        }
        let outcome = sim.outcome(wish);
        outcome.done += u32::from(good);
        outcome.given_up += u32::from(!good);
        self.block = 0;
        self.body.clear();
        self.wishes.remove(0);
    }

    /// A state of what is observed (RFC 7641 §3.4).
    fn tell(&mut self, sim: &mut Simulation, message: &Msg) {
        let Some(sequence) = message.uint(option::OBSERVE) else {
            return;
        };
        let now = sim.rig.now;
        let newer = self.newest.is_none_or(|(last, _)| {
            sequence.wrapping_sub(last) & 0xff_ffff != 0
                && sequence.wrapping_sub(last) & 0xff_ffff < 1 << 23
                || now > self.told + 128_000
        });
        if newer {
            let value = message.text().parse().unwrap();
            // What is newer by its sequence is never an older state.
            let older = self.newest.is_some_and(|(_, v)| v > value);
            sim.outcome(Wish::Observe).wrong += u32::from(older);
            self.newest = Some((sequence, value));
            self.told = now;
        }
    }

    fn receive(&mut self, message: &Msg, sim: &mut Simulation) {
        let reply = |kind| Msg::empty(kind, message.id).bytes();
        let mine = self
            .current
            .as_ref()
            .is_some_and(|r| r.message.token == message.token);
        let observed = self.observes.as_ref() == Some(&message.token);
        match message.kind {
            Kind::Ack | Kind::Rst => {
                let Some(r) = &mut self.current else { return };
                if r.message.id != message.id {
                    return;
                }
                if message.code == Code::EMPTY {
                    r.acknowledged = true;
                    r.deadline = sim.rig.now + PATIENCE;
                    return;
                }
                self.finish(sim, Some(message));
            }
            Kind::Con | Kind::Non => {
                let known = self.seen.contains(&message.id);
                if message.kind == Kind::Con {
                    let kind = if mine || observed || known {
                        Kind::Ack
                    } else {
                        Kind::Rst
                    };
                    sim.carry(self.number, false, &reply(kind));
                } else if !(mine || observed || known) {
                    sim.carry(self.number, false, &reply(Kind::Rst));
                }
                if known {
                    return;
                }
                self.seen.push(message.id);
                if mine {
                    self.finish(sim, Some(message));
                } else if observed {
                    self.tell(sim, message);
                }
            }
        }
    }
}

#[test]
fn requests_survive_a_bad_network_and_are_carried_out_once() {
    let mut table = String::from(
        "# What becomes of requests on a bad network\n\n\
         Four clients, each with 24 requests answered at once, 12 answered later, 12 downloads, 12 uploads and an observation, one\n\
         after the other, retransmitting as RFC 7252 §4.2 says. Datagrams are lost, doubled and delayed each way, with delays that\n\
         reorder them. `cargo test -p wasmote-coap --test lossy` makes this table, always the same.\n\n\
         | loss | doubled | delay up to | request | tried | done | given up | of these carried out | twice | wrong |\n\
         | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    let mut traffic = String::new();
    let networks = [
        (0, 0, 20),
        (0, 50, 3_000),
        (10, 10, 100),
        (20, 20, 500),
        (30, 10, 100),
        (50, 0, 100),
        (50, 30, 2_000),
    ];
    for (index, (loss, doubled, delay)) in networks.into_iter().enumerate() {
        let mut sim = Simulation {
            rig: Rig::new(),
            network: Network {
                loss,
                doubled,
                delay,
            },
            random: Random(0x5eed + index as u64),
            flights: vec![],
            datagrams: 0,
            outcomes: BTreeMap::new(),
        };
        sim.rig.now = 0;
        sim.run();
        for (wish, name) in WISHES {
            let kind = match wish {
                Wish::Post => "count",
                Wish::Slow => "slow",
                Wish::Upload => "upload",
                _ => "-",
            };
            let twice = sim
                .rig
                .app
                .handled
                .iter()
                .filter(|(key, times)| key.starts_with(kind) && **times > 1);
            let twice = twice.count();
            let o = sim.outcomes.get(&wish).cloned().unwrap_or_default();
            assert_eq!(twice, 0, "{name} at {loss} %: {:?}", sim.rig.app.handled);
            assert_eq!(o.wrong, 0, "{name} at {loss} %");
            assert_eq!(o.tried, o.done + o.given_up, "{name} at {loss} %");
            if loss == 0 {
                assert_eq!(o.given_up, 0, "{name} at {loss} %");
            }
            writeln!(
                table,
                "| {loss} % | {doubled} % | {delay} ms | {name} | {} | {} | {} | {} | {twice} | {} |",
                o.tried, o.done, o.given_up, o.carried_out, o.wrong
            )
            .unwrap();
        }
        let c = sim.rig.server.counters();
        writeln!(
            traffic,
            "| {loss} % | {doubled} % | {delay} ms | {} | {} | {} | {} | {} | {} |",
            sim.datagrams, c.received, c.duplicates, c.retransmitted, c.given_up, c.full
        )
        .unwrap();
        sim.rig.check_counters();
    }
    write!(
        table,
        "\n| loss | doubled | delay up to | datagrams of all | received by the node | duplicates | sent again by the node | given up by it | full |\n\
         | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n{traffic}"
    )
    .unwrap();
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../test/golden/coap-lossy.md"
    );
    if std::env::var("WASMOTE_GOLDEN").as_deref() == Ok("write") {
        std::fs::write(path, &table).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        golden == table,
        "the outcomes have changed; look at them, then WASMOTE_GOLDEN=write\n{table}"
    );
}
