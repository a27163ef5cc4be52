//! A secured node under a flood of forgeries: what each costs it, and what somebody with a context waits who comes right behind as many as
//! the board's ring of frames holds. Each kind comes 1,000 times a second, from one host or from so many.
use crate::secure::{Asked, Client, Datagram, Node, Peer};
use crate::{INSTRUCTIONS, Meter, PEER, say};
use wasmote_coap::{Code, Kind, Writer, option};
use wasmote_oscore::Compressed;
use wasmote_oscore::option::{LONGEST, piv};

/// Frames that wait at once at the board's Ethernet controller (`RECEIVE`), and milliseconds between two such.
const BURST: u16 = 4;
const PAUSE: u64 = 4;
/// Bursts of each kind.
const ROUNDS: u16 = 250;
const SHORT: usize = 24;
const LONG: usize = 1040;

/// What is sent.
#[derive(Clone, Copy)]
enum What {
    /// A ciphertext of so many bytes for a context that there is, under a number that was not used.
    Forged(usize),
    /// The same for one that there is not.
    Unknown,
    /// A request that was answered.
    Replay,
    /// An option that is none.
    Malformed,
    /// A message_1 of a key exchange, of one who has not shown where he is, or has.
    First,
    /// The beginning of one, and garbage behind it.
    Garbage,
}

/// Where it comes from: one host, which is where it says, or one that says that it is many.
#[derive(Clone, Copy)]
enum From {
    Neighbour,
    One,
    Many,
}

const KINDS: [(&str, What, From); 11] = [
    (
        "forged, 24 bytes, from one host",
        What::Forged(SHORT),
        From::One,
    ),
    (
        "forged, 24 bytes, from many hosts",
        What::Forged(SHORT),
        From::Many,
    ),
    (
        "forged, 1 KiB, from one host",
        What::Forged(LONG),
        From::One,
    ),
    (
        "forged, 1 KiB, from many hosts",
        What::Forged(LONG),
        From::Many,
    ),
    ("under an unknown ID", What::Unknown, From::Many),
    ("replayed", What::Replay, From::Many),
    ("with a malformed option", What::Malformed, From::Many),
    ("a key exchange begun without Echo", What::First, From::Many),
    (
        "a key exchange begun after Echo",
        What::First,
        From::Neighbour,
    ),
    (
        "no message of a key exchange",
        What::Garbage,
        From::Neighbour,
    ),
    ("nothing", What::Garbage, From::One),
];

impl From {
    fn peer(self, number: u16) -> Peer {
        let [high, low] = number.to_be_bytes();
        match self {
            Self::Neighbour => ([192, 168, 1, 66], 50_000),
            Self::One => ([10, 0, 0, 9], 40_000 | number & 0xfff),
            Self::Many => ([10, 1, high, low], 5683),
        }
    }
}

/// A datagram of the flood.
fn make(what: What, number: u16, replay: &Datagram) -> Option<Datagram> {
    let mut made = Datagram::new();
    if let What::Replay = what {
        made.set(replay.get());
        made.bytes
            .get_mut(2..4)?
            .copy_from_slice(&number.to_be_bytes());
        return Some(made);
    }
    let mut w = Writer::new(&mut made.bytes, Kind::Con, Code::POST, number, b"fl");
    let (bytes, significant) = piv(1_000_000 + u64::from(number));
    let mut value = [0; LONGEST];
    let kid: &[u8] = if let What::Unknown = what { &[9] } else { &[0] };
    let compressed = Compressed {
        piv: bytes.get(8 - significant..)?,
        kid: Some(kid),
        ..Compressed::default()
    };
    let mut payload = [0x5a; LONG];
    let mut length = SHORT;
    match what {
        What::Forged(bytes) => length = bytes,
        What::First | What::Garbage => {
            for segment in [".well-known", "edhoc"] {
                w.option(option::URI_PATH, segment.as_bytes());
            }
            w.option(option::CONTENT_FORMAT, &[65]);
            let head = [0xf5, 3, 2, 0x58, 0x20];
            length = if let What::First = what { 38 } else { 20 };
            payload
                .iter_mut()
                .zip(head)
                .for_each(|(to, from)| *to = from);
            *payload.get_mut(37)? = 0x0e;
        }
        What::Malformed => w.option(option::OSCORE, &[0xff, 1, 2]),
        What::Unknown | What::Replay => {}
    }
    if let What::Forged(_) | What::Unknown = what {
        w.option(option::OSCORE, compressed.write(&mut value)?);
    }
    made.length = w.finish(payload.get(..length)?)?.len();
    Some(made)
}

/// Instructions of a datagram in.
fn cost(node: &mut Node, peer: Peer, datagram: &Datagram, answer: &mut Datagram) -> u32 {
    let mut meter = Meter::default();
    meter.begin();
    node.ask(peer, datagram.get(), answer);
    meter.end();
    meter.ticks * INSTRUCTIONS
}

/// Prints a line for each kind; `None` when somebody with a context gets no answer.
pub fn flood(node: &mut Node, client: &mut Client) -> Option<()> {
    let asked = Asked {
        code: Code::GET,
        path: &["sensors", "level"],
        before: &[],
        behind: &[],
        payload: &[],
    };
    let mut answer = Datagram::new();
    let replay = client.protect(&asked)?;
    node.ask(PEER, replay.get(), &mut answer);
    let (mut number, mut idle) = (0u16, 0);
    for (name, what, from) in KINDS.iter().rev() {
        let (mut flooded, mut waited, mut most, mut late) = (0u64, 0u64, 0, 0);
        for _ in 0..ROUNDS {
            node.now += PAUSE;
            let mut before = 0;
            for _ in 0..BURST {
                number = number.wrapping_add(1);
                let datagram = make(*what, number, &replay)?;
                if *name != "nothing" {
                    before += cost(node, from.peer(number), &datagram, &mut answer);
                }
            }
            let wait = before + cost(node, PEER, client.protect(&asked).as_ref()?, &mut answer);
            if client.open(answer.get())? != Code::CONTENT {
                return None;
            }
            flooded += u64::from(before);
            waited += u64::from(wait);
            most = most.max(wait);
            late += u32::from(idle > 0 && wait > 2 * idle);
            // What a key exchange begins is the other half's work, which waits behind answers.
            node.settle();
        }
        let rounds = u64::from(ROUNDS);
        idle = if idle == 0 {
            (waited / rounds) as u32
        } else {
            idle
        };
        say(format_args!(
            "{{\"flood\":\"{name}\",\"each\":{},\"idle\":{idle},\"mean\":{},\"most\":{most},\"late\":{late},\"rounds\":{rounds}}}",
            flooded / rounds / u64::from(BURST),
            waited / rounds,
        ));
    }
    Some(())
}
