//! Registering at a resource directory (RFC 9176 §5.1): what goes out, when, and what whoever answers can do with it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
use wasmote_coap::{Code, Kind, Message, Writer, option};
use wasmote_node::{News, Registration};

const DIRECTORY: u8 = 7;
const LIFETIME: u32 = 600;

struct Bench {
    registration: Registration<u8>,
    now: u64,
    sent: Vec<Vec<u8>>,
    news: Vec<News>,
}

impl Bench {
    fn new(seed: u64) -> Self {
        Self {
            registration: Registration::new(DIRECTORY, "wye", LIFETIME, seed, 0).unwrap(),
            now: 0,
            sent: Vec::new(),
            news: Vec::new(),
        }
    }

    /// Lets the time pass until something is sent, or for this long.
    fn pass(&mut self, most: u64) -> Option<Vec<u8>> {
        let end = self.now + most;
        loop {
            let mut out = |to: u8, datagram: &[u8]| {
                assert_eq!(to, DIRECTORY);
                self.sent.push(datagram.to_vec());
            };
            let (next, news) = self.registration.poll(self.now, &mut out);
            self.news.extend(news);
            if let Some(datagram) = self.sent.pop() {
                return Some(datagram);
            }
            assert!(next > self.now, "it would spin");
            if next > end {
                self.now = end;
                return None;
            }
            self.now = next;
        }
    }

    fn receive(&mut self, from: u8, datagram: &[u8]) -> bool {
        let mut out = |_: u8, datagram: &[u8]| self.sent.push(datagram.to_vec());
        let (taken, news) = self
            .registration
            .receive(self.now, from, datagram, &mut out);
        self.news.extend(news);
        taken
    }

    /// Answers a request, with an option.
    fn answer(&mut self, request: &[u8], kind: Kind, code: Code, extra: Option<(u16, &[u8])>) {
        let request = Message::parse(request).unwrap();
        let id = if kind == Kind::Ack { request.id } else { 4711 };
        let answer = message(kind, code, id, request.token, extra);
        assert!(self.receive(DIRECTORY, &answer));
    }
}

fn message(kind: Kind, code: Code, id: u16, token: &[u8], extra: Option<(u16, &[u8])>) -> Vec<u8> {
    let mut buffer = [0; 128];
    let mut w = Writer::new(&mut buffer, kind, code, id, token);
    if let Some((number, value)) = extra {
        w.option(number, value);
    }
    w.finish(&[]).unwrap().to_vec()
}

fn options(datagram: &[u8], number: u16) -> Vec<Vec<u8>> {
    let message = Message::parse(datagram).unwrap();
    message
        .options
        .filter(|(n, _)| *n == number)
        .map(|(_, value)| value.to_vec())
        .collect()
}

#[test]
fn a_node_registers_and_renews_before_its_time_is_over() {
    for seed in 0..200 {
        let mut b = Bench::new(seed);
        let request = b.pass(1_000).expect("a request within a second");
        let read = Message::parse(&request).unwrap();
        assert_eq!((read.kind, read.code), (Kind::Con, Code::POST));
        assert_eq!(
            options(&request, option::URI_PATH),
            [&b".well-known"[..], b"rd"]
        );
        assert_eq!(
            options(&request, option::URI_QUERY),
            [&b"ep=wye"[..], b"lt=600"]
        );
        b.answer(&request, Kind::Ack, Code::CHANGED, None);
        assert_eq!(b.news, [News::Registered]);
        let before = b.now;
        let again = b.pass(LIFETIME.into()).or_else(|| b.pass(450_000)).unwrap();
        let rested = b.now - before;
        assert!((300_000..450_001).contains(&rested), "{rested}");
        let (old, new) = (
            Message::parse(&request).unwrap(),
            Message::parse(&again).unwrap(),
        );
        assert_ne!((old.id, old.token), (new.id, new.token));
        // That it is still known is no news.
        b.answer(&again, Kind::Ack, Code::CHANGED, None);
        assert_eq!(b.news, [News::Registered]);
    }
}

/// That these lie between two ends, and in each third of what is between them: not all nodes of a site ask at once.
fn is_spread(what: &str, times: &[u64], from: u64, to: u64) {
    let third = (to - from) / 3;
    for time in times {
        assert!((from..to).contains(time), "{what}: {time}");
    }
    for begin in [from, from + third, from + 2 * third] {
        let some = times.iter().filter(|t| (begin..begin + third).contains(t));
        assert!(
            some.count() * 6 > times.len(),
            "{what} from {begin}: {times:?}"
        );
    }
}

#[test]
fn nodes_that_begin_at_once_do_not_ask_at_once() {
    let (mut first, mut again, mut rests, mut pauses) = (vec![], vec![], vec![], vec![]);
    for seed in 0..200 {
        let mut b = Bench::new(seed);
        let request = b.pass(1_000).unwrap();
        first.push(b.now);
        let began = b.now;
        b.pass(60_000).unwrap();
        again.push(b.now - began);
        b.answer(&request, Kind::Ack, Code::CHANGED, None);
        let began = b.now;
        let request = b.pass(u64::from(LIFETIME) * 1_000).unwrap();
        rests.push(b.now - began);
        b.answer(&request, Kind::Ack, Code::FORBIDDEN, None);
        let began = b.now;
        b.pass(600_000).unwrap();
        pauses.push(b.now - began);
    }
    // RFC 7252 §4.8: ACK_TIMEOUT to ACK_TIMEOUT times ACK_RANDOM_FACTOR.
    is_spread("until it is sent again", &again, 2_000, 3_000);
    is_spread("until it is renewed", &rests, 300_000, 450_001);
    let shortest = *pauses.iter().min().unwrap();
    let pause = shortest - shortest % 1_000;
    is_spread("after a refusal", &pauses, pause, pause + pause / 2 + 1);
    assert!(first.iter().any(|t| *t != first[0]) || first.iter().all(|t| *t == 0));
}

#[test]
fn a_request_is_repeated_by_the_rules_and_then_after_longer_and_longer() {
    let mut b = Bench::new(1);
    let first = b.pass(1_000).unwrap();
    let began = b.now;
    let mut times = Vec::new();
    for _ in 0..4 {
        // RFC 7252 §4.2: the same message, to the byte.
        assert_eq!(b.pass(60_000).unwrap(), first);
        times.push(b.now - began);
    }
    let first_wait = times[0];
    assert!((2_000..3_000).contains(&first_wait));
    assert_eq!(
        times,
        [1, 3, 7, 15].map(|n| n * first_wait),
        "each after twice as long"
    );
    let mut last = b.now;
    let mut pauses = Vec::new();
    for _ in 0..10 {
        let next = b.pass(4_000_000).unwrap();
        assert_ne!(next, first);
        pauses.push(b.now - last);
        for _ in 0..4 {
            b.pass(60_000).unwrap();
        }
        last = b.now;
    }
    assert_eq!(b.news, [News::Silent]);
    assert!(
        pauses[0] < 100_000 && pauses[9] > 960_000 && pauses[9] < 1_600_000,
        "{pauses:?}"
    );
}

#[test]
fn an_answer_may_come_by_itself_and_is_acknowledged() {
    let mut b = Bench::new(2);
    let request = b.pass(1_000).unwrap();
    let read = Message::parse(&request).unwrap();
    assert!(b.receive(
        DIRECTORY,
        &message(Kind::Ack, Code::EMPTY, read.id, &[], None)
    ));
    assert_eq!(b.pass(90_000), None, "it is acknowledged: not repeated");
    b.answer(&request, Kind::Con, Code::CHANGED, None);
    assert_eq!(b.sent, [message(Kind::Ack, Code::EMPTY, 4711, &[], None)]);
    assert_eq!(b.news, [News::Registered]);
}

#[test]
fn an_echo_is_returned_once() {
    let mut b = Bench::new(3);
    let request = b.pass(1_000).unwrap();
    b.answer(
        &request,
        Kind::Ack,
        Code::UNAUTHORIZED,
        Some((option::ECHO, b"12345678")),
    );
    let again = b.sent.pop().expect("at once");
    assert_eq!(options(&again, option::ECHO), [b"12345678"]);
    assert_ne!(
        Message::parse(&again).unwrap().id,
        Message::parse(&request).unwrap().id
    );
    // The same value, asked for again, would go on for ever.
    b.answer(
        &again,
        Kind::Ack,
        Code::UNAUTHORIZED,
        Some((option::ECHO, b"12345678")),
    );
    assert!(b.sent.is_empty());
    assert_eq!(b.news, [News::Refused(Code::UNAUTHORIZED)]);
}

#[test]
fn a_refusal_is_told_once_and_says_when_to_come_again() {
    let mut b = Bench::new(4);
    let request = b.pass(1_000).unwrap();
    b.answer(
        &request,
        Kind::Ack,
        Code::SERVICE_UNAVAILABLE,
        Some((option::MAX_AGE, &[120])),
    );
    assert_eq!(b.pass(119_000), None);
    let again = b.pass(62_000).expect("within half as long again");
    // A directory cannot send a node away for ever.
    b.answer(
        &again,
        Kind::Ack,
        Code::SERVICE_UNAVAILABLE,
        Some((option::MAX_AGE, &[0xff; 4])),
    );
    assert!(b.pass(1_440_001).is_some());
    assert_eq!(b.news, [News::Refused(Code::SERVICE_UNAVAILABLE)]);
}

#[test]
fn another_address_is_told_at_once() {
    let mut b = Bench::new(5);
    let request = b.pass(1_000).unwrap();
    b.answer(&request, Kind::Ack, Code::CHANGED, None);
    assert_eq!(b.pass(10_000), None);
    b.registration.moved(b.now);
    assert!(b.pass(1_000).is_some());
}

#[test]
fn what_strangers_and_liars_send_changes_nothing() {
    let mut b = Bench::new(6);
    // Before there is a request there is no answer.
    assert!(!b.receive(
        DIRECTORY,
        &message(Kind::Ack, Code::CHANGED, 0, &[0; 4], None)
    ));
    let request = b.pass(1_000).unwrap();
    let read = Message::parse(&request).unwrap();
    let (id, token) = (read.id, read.token.to_vec());
    let good = message(Kind::Ack, Code::CHANGED, id, &token, None);
    assert!(!b.receive(8, &good), "from elsewhere");
    for other in [
        message(Kind::Ack, Code::CHANGED, id.wrapping_add(1), &token, None),
        message(Kind::Ack, Code::CHANGED, id, &token[..3], None),
        message(Kind::Ack, Code::CHANGED, id, &[], None),
        message(Kind::Rst, Code::EMPTY, id.wrapping_add(1), &[], None),
        message(Kind::Con, Code::GET, id, &token, None),
        message(Kind::Con, Code::EMPTY, id.wrapping_add(1), &[], None),
    ] {
        assert!(!b.receive(DIRECTORY, &other), "{other:02x?}");
    }
    assert!(b.news.is_empty());
    // Any cut and any flipped bit, over all that it can get: it neither panics nor takes what is not its own.
    for length in 0..good.len() {
        assert!(!b.receive(DIRECTORY, &good[..length]) || length == 4);
    }
    let mut random = 0x5eed_u64;
    for _ in 0..20_000 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let mut bytes = good.clone();
        bytes.extend_from_slice(&random.to_le_bytes());
        for n in 0..3 {
            let at = (random >> (8 * n)) as usize % bytes.len();
            bytes[at] ^= 1 << (random >> (40 + 3 * n) & 7);
        }
        b.receive(DIRECTORY, &bytes);
        b.sent.clear();
        b.registration.moved(b.now);
        b.pass(2_000).expect("it begins anew");
    }
}

#[test]
fn no_name_no_registration() {
    assert!(Registration::new(DIRECTORY, "", LIFETIME, 1, 0).is_none());
    assert!(Registration::new(DIRECTORY, "wye", 0, 1, 0).is_none());
    let long: &'static str = "a".repeat(64).leak();
    assert!(Registration::new(DIRECTORY, long, LIFETIME, 1, 0).is_none());
    let mut longest = Registration::new(DIRECTORY, "a".repeat(63).leak(), u32::MAX, 1, 0).unwrap();
    let mut requests = Vec::new();
    let mut out = |_: u8, datagram: &[u8]| requests.push(datagram.to_vec());
    longest.poll(5_000, &mut out);
    assert_eq!(
        options(&requests[0], option::URI_QUERY)[1],
        b"lt=4294967295"
    );
}

#[test]
fn the_numbers_of_a_node_are_those_of_splitmix64_over_its_seed() {
    // The generator's second value for the seed 0 (as of java.util.SplittableRandom): the first one spreads the start.
    let mut b = Bench::new(0);
    let request = b.pass(1_000).unwrap();
    let read = Message::parse(&request).unwrap();
    let drawn = 0x6e78_9e6a_a1b9_65f4u64.to_be_bytes();
    assert_eq!(read.id.to_be_bytes(), drawn[..2]);
    assert_eq!(read.token, &drawn[2..6]);
}
