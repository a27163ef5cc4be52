//! The place of a security stage: what it is handed inwards and outwards, with one that stands in for OSCORE. Its "cipher" adds
//! the nonce to each byte and its "tag" repeats it, so that a test sees which nonce protects what, and none may come twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
mod rig;

use rig::{App, Msg, block};
use std::collections::BTreeSet;
use wasmote_coap::{
    Code, Kind, Message, OBSERVERS, Opened, Origin, Plaintext, Role, Sealed, Security, Server,
    option,
};

/// Kept of a request: the nonce it came with.
#[derive(Clone, Copy, Debug)]
struct Binding {
    nonce: u8,
}

#[derive(Default)]
struct Stage {
    plain: Vec<u8>,
    /// Nonces of requests that came in: each is taken once.
    window: BTreeSet<u8>,
    /// Nonces that something was protected with.
    used: BTreeSet<u8>,
    roles: Vec<Role>,
    next: u8,
    exhausted: bool,
    /// No number of our own may be used now.
    unnumbered: bool,
    /// The length that it claims, if not the true one.
    claims: Option<usize>,
}

const OSCORE: u16 = option::OSCORE;

impl Security<u8> for Stage {
    type Binding = Binding;

    fn open(&mut self, _: u64, from: Origin, message: &Message<'_>) -> Opened<Binding> {
        let Some(value) = message.options.get(OSCORE) else {
            return Opened::Plain;
        };
        let [nonce] = *value else {
            return Opened::Refused {
                code: Code::BAD_OPTION,
                text: "Failed to decode COSE",
            };
        };
        let binding = Binding { nonce };
        if nonce == 250 {
            return Opened::Ignored;
        }
        if nonce == 251 {
            let echo = *b"echo-me!";
            return Opened::Challenged {
                binding,
                echo,
                once: false,
            };
        }
        if !self.window.insert(nonce) {
            return Opened::Refused {
                code: Code::UNAUTHORIZED,
                text: "Replay detected",
            };
        }
        self.plain = message
            .payload
            .iter()
            .map(|b| b.wrapping_sub(nonce))
            .collect();
        // Each is a host.
        let context = from.host as u8 / 10;
        let numbered = !self.unnumbered;
        Opened::Protected {
            context,
            binding,
            numbered,
        }
    }

    fn plaintext(&self) -> &[u8] {
        &self.plain
    }

    fn protect(&mut self, _: u64, _: &u8, binding: &Binding, p: Plaintext<'_>) -> Option<Sealed> {
        if self.exhausted {
            return None;
        }
        self.roles.push(p.role);
        // The nonce of the request for its response, a new one for all else.
        let nonce = if p.role == Role::Response {
            binding.nonce
        } else {
            self.next += 1;
            100 + self.next
        };
        assert!(self.used.insert(nonce), "nonce {nonce} is used twice");
        for byte in &mut p.bytes[..p.length] {
            *byte = byte.wrapping_add(nonce);
        }
        p.bytes[p.length..p.length + 8].fill(nonce);
        let mut option = ([0; 24], 1);
        option.0[0] = nonce;
        Some(Sealed {
            length: self.claims.unwrap_or(p.length + 8),
            code: Code::CHANGED,
            option,
            observe: p.observed.then_some(nonce.into()),
        })
    }
}

struct Protected {
    server: Server<u8, Stage>,
    app: App,
    now: u64,
}

type Sent = Vec<Vec<u8>>;

impl Protected {
    fn new() -> Self {
        let mut server = Server::with(7, Stage::default());
        server.trust(|peer| *peer < 100);
        server.hosts(|peer| u64::from(*peer));
        Self {
            server,
            app: App::default(),
            now: 1_000,
        }
    }

    fn send(&mut self, from: u8, datagram: &[u8]) -> Sent {
        let mut sent = vec![];
        self.app.now = self.now;
        let mut out = |_: u8, d: &[u8]| sent.push(d.to_vec());
        self.server
            .receive(self.now, from, false, datagram, &mut self.app, &mut out);
        sent.extend(self.poll());
        sent
    }

    fn poll(&mut self) -> Sent {
        let mut sent = vec![];
        let mut out = |_: u8, d: &[u8]| sent.push(d.to_vec());
        let now = self.now;
        let due: Vec<u16> = self
            .app
            .tickets
            .extract_if(.., |(at, _)| *at <= now)
            .map(|(_, t)| t)
            .collect();
        for ticket in due {
            self.server
                .complete(now, ticket, |r| r.write(b"late"), &mut out);
        }
        self.server.poll(now, &mut self.app, &mut out);
        sent
    }
}

/// A request within another, with this nonce.
fn protect(inner: &Msg, nonce: u8) -> Msg {
    let bytes = inner.bytes();
    // Code, then what follows the token.
    let mut plain = vec![inner.code.0];
    plain.extend(&bytes[4 + inner.token.len()..]);
    let mut outer = Msg::new(Code::POST, inner.id, "");
    outer.kind = inner.kind;
    outer.token = inner.token.clone();
    outer.options = vec![(OSCORE, vec![nonce])];
    outer.payload = plain.iter().map(|b| b.wrapping_add(nonce)).collect();
    outer
}

/// What is within an answer, with its nonce.
fn open(datagram: &[u8]) -> (Msg, u8) {
    let outer = Msg::read(datagram);
    assert_eq!(outer.code, Code::CHANGED, "the outer code tells nothing");
    let nonce = outer.option(OSCORE).expect("protected")[0];
    assert!(
        outer
            .options
            .iter()
            .all(|(n, _)| [OSCORE, option::OBSERVE].contains(n))
    );
    let (cipher, tag) = outer.payload.split_at(outer.payload.len() - 8);
    assert_eq!(tag, [nonce; 8]);
    let plain: Vec<u8> = cipher.iter().map(|b| b.wrapping_sub(nonce)).collect();
    let mut whole = datagram[..4 + outer.token.len()].to_vec();
    whole[1] = plain[0];
    whole.extend(&plain[1..]);
    (Msg::read(&whole), nonce)
}

#[test]
fn a_protected_request_gets_a_protected_answer_and_its_handler_knows_who_asks() {
    let mut node = Protected::new();
    let get = Msg::new(Code::GET, 1, "value").token(b"tok");
    let sent = node.send(30, &protect(&get, 1).bytes());
    let (answer, nonce) = open(&sent[0]);
    assert_eq!(
        (answer.kind, answer.id, answer.token.as_slice()),
        (Kind::Ack, 1, &b"tok"[..])
    );
    assert_eq!((answer.code, answer.text(), nonce), (Code::CONTENT, "0", 1));
    assert_eq!(node.app.principals.last().unwrap().context, Some(3));
    // One that is not protected is dealt with as it is.
    let plain = node.send(30, &Msg::new(Code::GET, 2, "value").bytes());
    assert_eq!(Msg::read(&plain[0]).text(), "0");
    assert_eq!(node.app.principals.last().unwrap().context, None);
    // An error is protected as well, and has no telling code outside.
    let missing = node.send(30, &protect(&Msg::new(Code::GET, 3, "nothing"), 2).bytes());
    assert_eq!(open(&missing[0]).0.code, Code::NOT_FOUND);
    let empty = Msg::new(Code::GET, 4, "value").with(9, [1, 2]);
    assert_eq!(
        Msg::read(&node.send(30, &empty.bytes())[0]).code,
        Code::BAD_OPTION
    );
    assert_eq!(node.server.security().roles, [Role::Response; 2]);
}

#[test]
fn a_duplicate_gets_the_same_ciphertext_and_reaches_the_stage_once() {
    let mut node = Protected::new();
    for (id, inner) in [
        Msg::new(Code::GET, 1, "value"),
        Msg::new(Code::POST, 2, "count"),
    ]
    .iter()
    .enumerate()
    {
        let request = protect(inner, 1 + id as u8).bytes();
        let first = node.send(30, &request);
        node.app.value += 1;
        assert_eq!(node.send(30, &request), first);
    }
    assert_eq!(node.server.security().window.len(), 2);
    // One whose ciphertext is gone gets nothing: it cannot be made again.
    let large = protect(&Msg::new(Code::GET, 3, "large"), 3).bytes();
    node.send(30, &large);
    node.send(30, &protect(&Msg::new(Code::GET, 4, "large"), 4).bytes());
    assert!(node.send(30, &large).is_empty());
}

#[test]
fn what_the_stage_refuses_ignores_or_challenges_reaches_no_handler() {
    let mut node = Protected::new();
    let get = |id, nonce| protect(&Msg::new(Code::GET, id, "value"), nonce).bytes();
    node.send(30, &get(1, 1));
    let handled = node.app.reads.len();
    let replay = Msg::read(&node.send(30, &get(2, 1))[0]);
    // Without its text, which would make it longer than the request.
    assert_eq!((replay.code, replay.text()), (Code::UNAUTHORIZED, ""));
    // RFC 8613 §8.2.
    assert_eq!(replay.uint(option::MAX_AGE), Some(0));
    assert!(node.send(30, &get(3, 250)).is_empty());
    let (challenge, _) = open(&node.send(30, &get(4, 251))[0]);
    assert_eq!(challenge.code, Code::UNAUTHORIZED);
    assert_eq!(challenge.option(option::ECHO), Some(&b"echo-me!"[..]));
    // What is not a message inside is told so, protected.
    let mut odd = protect(&Msg::new(Code::GET, 5, "value"), 5);
    odd.payload = vec![1 + 5, 0xf0 + 5];
    assert_eq!(
        open(&node.send(30, &odd.bytes())[0]).0.code,
        Code::BAD_OPTION
    );
    assert_eq!(node.app.reads.len(), handled);
    let c = node.server.counters();
    assert_eq!((c.suppressed, c.answered), (1, 4));
}

#[test]
fn an_unprotected_error_is_never_longer_than_what_it_answers() {
    let mut node = Protected::new();
    node.send(30, &protect(&Msg::new(Code::GET, 1, "value"), 1).bytes());
    // A replay, and an option that says nothing, with a ciphertext of each length and with none.
    let refused = [
        (vec![1], "Replay detected"),
        (vec![], "Failed to decode COSE"),
    ];
    let (mut whole, mut bare, mut barest) = (0, 0, 0);
    for length in 0..40 {
        for (at, (value, text)) in refused.iter().enumerate() {
            let id = 100 + 2 * length + at as u16;
            let mut request = protect(&Msg::new(Code::GET, id, "value").token(b"token"), 1);
            request.options = vec![(OSCORE, value.clone())];
            request.payload.resize(usize::from(length), 0);
            let datagram = request.bytes();
            let sent = node.send(30, &datagram);
            let (answer, size) = (Msg::read(&sent[0]), sent[0].len());
            assert_eq!(answer.code.class(), 4);
            assert!(size <= datagram.len(), "{size} for {}", datagram.len());
            match (answer.uint(option::MAX_AGE), answer.text()) {
                (Some(0), said) if said == *text => whole += 1,
                (Some(0), "") => bare += 1,
                said => {
                    assert_eq!(said, (None, ""));
                    barest += 1;
                }
            }
        }
    }
    assert!(
        whole > 30 && bare > 20 && barest == 1,
        "{whole} {bare} {barest}"
    );
}

#[test]
fn later_answers_are_protected_once_with_the_nonce_of_their_request() {
    let mut node = Protected::new();
    let request = protect(&Msg::new(Code::GET, 1, "slow").token(b"t"), 1).bytes();
    assert!(node.send(30, &request).is_empty());
    node.now += 900;
    assert_eq!(Msg::read(&node.poll()[0]), Msg::empty(Kind::Ack, 1));
    node.now += 2_200;
    let sent = node.poll();
    let (response, nonce) = open(&sent[0]);
    assert_eq!(
        (response.kind, response.text(), nonce),
        (Kind::Con, "late", 1)
    );
    // Sent again it is the same bytes, not protected anew.
    node.now += 3_100;
    assert_eq!(node.poll(), sent);
    assert_eq!(node.server.security().roles, [Role::Response]);
    // One that comes in time goes with the acknowledgement.
    node.send(30, &protect(&Msg::new(Code::GET, 2, "slow"), 2).bytes());
    node.app.tickets[0].0 = node.now;
    let (answer, nonce) = open(&node.poll()[0]);
    assert_eq!((answer.kind, answer.id, nonce), (Kind::Ack, 2, 2));
}

#[test]
fn notifications_are_protected_and_only_the_context_that_began_an_observation_ends_it() {
    let mut node = Protected::new();
    let observe = Msg::new(Code::GET, 1, "value")
        .token(b"t")
        .with(option::OBSERVE, []);
    let (first, _) = open(&node.send(30, &protect(&observe, 1).bytes())[0]);
    assert!(first.option(option::OBSERVE).is_some());
    // The stage is told, for the outer message needs the option too.
    let again = node.send(30, &protect(&observe, 1).bytes());
    assert_eq!(Msg::read(&again[0]).uint(option::OBSERVE), Some(1));
    node.app.value = 5;
    node.server.notify(rig::VALUE);
    let sent = node.poll();
    let (told, nonce) = open(&sent[0]);
    assert_eq!((told.code, told.text(), nonce), (Code::CONTENT, "5", 101));
    // The outer number is the stage's.
    assert_eq!(Msg::read(&sent[0]).uint(option::OBSERVE), Some(101));
    assert_eq!(node.app.principals.last().unwrap().context, Some(3));
    // The same endpoint and token without protection: another client, as far as anybody knows.
    let cancel = Msg::new(Code::GET, 2, "value")
        .token(b"t")
        .with(option::OBSERVE, [1]);
    node.send(30, &cancel.bytes());
    assert_eq!(node.server.observers(), 1);
    let mut cancel = cancel.clone();
    cancel.id = 3;
    node.send(30, &protect(&cancel, 2).bytes());
    assert_eq!(node.server.observers(), 0);
    // The error that ends one is protected, and the same when it is sent again.
    let mut again = observe.clone();
    again.id = 4;
    node.send(30, &protect(&again, 3).bytes());
    node.app.gone = true;
    node.server.notify(rig::VALUE);
    let last = node.poll();
    assert_eq!(open(&last[0]).0.code, Code::NOT_FOUND);
    node.now += 3_100;
    assert_eq!(node.poll(), last);
}

#[test]
fn who_cannot_be_told_of_changes_yet_is_told_that_and_asks_again() {
    let mut node = Protected::new();
    node.server.security().unnumbered = true;
    let observe = Msg::new(Code::GET, 1, "value")
        .token(b"t")
        .with(option::OBSERVE, []);
    let request = protect(&observe, 1).bytes();
    let sent = node.send(30, &request);
    let (busy, _) = open(&sent[0]);
    assert_eq!(
        (busy.code, busy.uint(option::MAX_AGE)),
        (Code::SERVICE_UNAVAILABLE, Some(1))
    );
    assert_eq!(node.server.observers(), 0);
    // The request was used up: who repeats it gets the same, and no replay is detected.
    assert_eq!(node.send(30, &request), sent);
    // What needs no number goes on.
    let read = protect(&Msg::new(Code::GET, 2, "value"), 2).bytes();
    assert_eq!(open(&node.send(30, &read)[0]).0.code, Code::CONTENT);
    node.server.security().unnumbered = false;
    let mut again = observe.clone();
    again.id = 3;
    let (first, _) = open(&node.send(30, &protect(&again, 3).bytes())[0]);
    assert_eq!(first.code, Code::CONTENT);
    assert_eq!(node.server.observers(), 1);
}

#[test]
fn resets_of_all_message_ids_end_nothing_that_is_protected() {
    let mut node = Protected::new();
    let observe = Msg::new(Code::GET, 1, "value")
        .token(b"t")
        .with(option::OBSERVE, []);
    node.send(30, &protect(&observe, 1).bytes());
    let resets = |node: &mut Protected| {
        let mut said = vec![];
        for id in 0..=u16::MAX {
            said.extend(node.send(30, &Msg::empty(Kind::Rst, id).bytes()));
        }
        said
    };
    for value in 1..=2 {
        node.app.value = value;
        node.server.notify(rig::VALUE);
        let mut told = vec![];
        // The first and the second reset that hits, and those of a confirmable one that goes out again.
        for _ in 0..3 {
            told.extend(node.poll());
            told.extend(resets(&mut node));
            node.now += 3_100;
            told.extend(node.poll());
        }
        let texts = told.iter().map(|one| open(one).0.text().to_owned());
        assert!(
            texts.clone().any(|text| text == value.to_string()),
            "{value}: {:?}",
            texts.collect::<Vec<_>>()
        );
        let (last, _) = open(told.last().unwrap());
        // Whoever is there acknowledges what asks for it.
        assert_eq!(last.kind, Kind::Con);
        node.send(30, &Msg::empty(Kind::Ack, last.id).bytes());
        assert_eq!(node.server.observers(), 1);
    }
    // Nobody is there: it ends by itself.
    node.app.value = 3;
    node.server.notify(rig::VALUE);
    let mut sent = 0;
    for _ in 0..40 {
        for told in node.poll() {
            sent += 1;
            node.send(30, &Msg::empty(Kind::Rst, Msg::read(&told).id).bytes());
        }
        node.now += 3_100;
    }
    assert_eq!(node.server.observers(), 0);
    assert!(sent < 8, "{sent}");
    // A response that comes later goes out again, whatever resets come.
    node.send(30, &protect(&Msg::new(Code::GET, 2, "slow"), 2).bytes());
    node.now += 900;
    node.poll();
    node.now += 2_200;
    let late = node.poll();
    resets(&mut node);
    node.now += 3_100;
    assert_eq!(node.poll(), late);
}

#[test]
fn an_upload_and_a_read_in_blocks_go_within() {
    let mut node = Protected::new();
    let mut nonce = 0;
    for number in 0..3 {
        nonce += 1;
        let part = Msg::new(Code::PUT, number, "upload")
            .with(option::BLOCK1, block(number.into(), number < 2, 64))
            .body([7; 64]);
        let (answer, _) = open(&node.send(30, &protect(&part, nonce).bytes())[0]);
        assert_eq!(
            answer.block(option::BLOCK1),
            Some((number.into(), number < 2, 64))
        );
    }
    assert_eq!(node.app.uploads[""].len(), 192);
    let mut body = vec![];
    for number in 0..2 {
        nonce += 1;
        let get = Msg::new(Code::GET, 10 + number, "large")
            .with(option::BLOCK2, block(number.into(), false, 1_024));
        let sent = node.send(30, &protect(&get, nonce).bytes());
        // The largest block has room for the tag.
        body.extend(open(&sent[0]).0.payload);
    }
    assert_eq!(body, rig::large(0));
}

#[test]
fn when_nothing_can_be_protected_nothing_is_sent() {
    let mut node = Protected::new();
    node.server.security().exhausted = true;
    let request = protect(&Msg::new(Code::POST, 1, "count"), 1).bytes();
    assert!(node.send(30, &request).is_empty());
    // It was carried out, and a duplicate changes nothing.
    assert!(node.send(30, &request).is_empty());
    assert_eq!(node.app.most(), 1);
}

#[test]
fn protected_requests_count_as_known_for_their_share() {
    let mut node = Protected::new();
    for peer in 110..=200 {
        let observe = Msg::new(Code::GET, 1, "value").with(option::OBSERVE, []);
        node.send(peer, &observe.bytes());
    }
    assert_eq!(node.server.observers(), OBSERVERS);
    for id in 0..2 {
        for peer in 110..=200 {
            node.send(peer, &Msg::new(Code::POST, 10 + id, "count").bytes());
        }
    }
    let post = protect(&Msg::new(Code::POST, 5, "count"), 1).bytes();
    assert_eq!(open(&node.send(220, &post)[0]).0.code, Code::CHANGED);
}

#[test]
fn what_is_echoed_within_shows_where_the_client_is() {
    // RFC 9175 §2.4.
    let mut node = Protected::new();
    let large = node.send(200, &Msg::new(Code::GET, 1, "large").bytes());
    let echo = Msg::read(&large[0]).option(option::ECHO).unwrap().to_vec();
    let verified = |node: &Protected| node.app.principals.last().unwrap().verified;
    let get = |id, echo: &[u8]| Msg::new(Code::GET, id, "value").with(option::ECHO, echo);
    for (id, echo, shown) in [(2, &echo[1..], false), (3, &echo[..], true)] {
        node.send(200, &protect(&get(id, echo), id as u8).bytes());
        assert_eq!(verified(&node), shown, "{id}");
    }
    // From then on, protected or not.
    node.send(200, &Msg::new(Code::GET, 4, "value").bytes());
    assert!(verified(&node));
}

#[test]
fn protected_requests_of_many_take_every_place_that_is_kept_for_changes() {
    // Strangers would have 77 of them.
    let mut node = Protected::new();
    let mut changed = 0;
    for peer in 110..=205 {
        let post = protect(&Msg::new(Code::POST, 1, "count"), peer).bytes();
        let answer = open(&node.send(peer, &post)[0]).0;
        changed += usize::from(answer.code == Code::CHANGED);
    }
    assert_eq!(changed, 96);
}

#[test]
fn a_stage_that_claims_what_it_was_not_given_room_for_sends_nothing() {
    let mut node = Protected::new();
    // Code, ETag, format, marker, one digit; then the room for the tag.
    let plain = 1 + 5 + 1 + 1 + 1;
    for (nonce, beyond, sent) in [
        (1, 0, 1),
        (2, Plaintext::TAG, 1),
        (3, Plaintext::TAG + 1, 0),
    ] {
        node.server.security().claims = Some(plain + beyond);
        let get = protect(&Msg::new(Code::GET, nonce.into(), "value"), nonce);
        assert_eq!(node.send(30, &get.bytes()).len(), sent, "{beyond}");
    }
}
