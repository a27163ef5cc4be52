//! What one instruction that a disturbance leaves out can do: forged requests at a secured node, for an emulator that leaves out one
//! instruction after the other (`test/peers/skip.py`). It writes down below what is tried, runs to `skip_begin`, and looks at what
//! `skip_end` is called with.
#![no_std]
#![no_main]

#[path = "ram.rs"]
mod ram;
#[path = "secure.rs"]
mod secure;
#[path = "stranger.rs"]
mod stranger;
#[path = "trace.rs"]
mod trace;

use core::ptr::read_volatile;
use cortex_m as _;
use secure::{ADMINISTRATOR, Asked, Client, Datagram, Node, Peer, READER};
use wasmote_coap::{Code, Kind, Message, Writer, option};
use wasmote_node::Sensor;

/// The emulator sees that a run ended so.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    cortex_m::asm::udf()
}

const SENSORS: &[Sensor] = &[Sensor {
    name: "level",
    unit: "mm",
}];
/// What the sensor shows.
const VALUE: &[u8] = b"1234.5";
const PEER: Peer = ([192, 168, 1, 2], 40_000);
/// From where is looked at what became of it: message IDs begin anew there.
const OBSERVER: Peer = ([192, 168, 1, 3], 40_000);

/// What is tried: its number, and what the emulator knows better how to make.
#[repr(C)]
pub struct Trial {
    /// 0: a request whose tag is wrong in one bit; 1: in all; 2: a reader who writes; 3: a stranger who reads; 4: an administrator who
    /// installs the package. 5: an administrator who reads; 6: who writes, which succeed where nothing is left out. 10 to 13: a stranger in a
    /// key exchange; 14: somebody who is known there.
    what: u32,
    /// The public key that the node trusts.
    key: [u8; 32],
    length: u32,
    package: [u8; 512],
}

/// Written by the emulator before it begins.
#[unsafe(no_mangle)]
pub static SKIP_TRIAL: Trial = Trial {
    what: 0,
    key: [0; 32],
    length: 0,
    package: [0; 512],
};

// What these two hold keeps them apart: functions that are the same become one.

/// From here on instructions are left out.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn skip_begin() {
    core::hint::black_box(1u8);
}

/// Here the node has done what it does.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn skip_judge() {
    core::hint::black_box(2u8);
}

/// The end. 0: nothing was got; 1: what should not be had was got.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn skip_end(result: u32) -> ! {
    core::hint::black_box(result);
    loop {
        cortex_m::asm::nop();
    }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    match attempt() {
        Some(got) => skip_end(got.into()),
        // After a disturbance: nobody got anything.
        None => skip_end(0),
    }
}

/// Whether what was sent got anything; `None` when the node could not be brought to where it begins.
fn attempt() -> Option<bool> {
    // SAFETY: a static of this image, which the emulator has changed before it began.
    let trial = unsafe { read_volatile(&raw const SKIP_TRIAL) };
    if trial.what >= 10 {
        return stranger::attempt(trial.what);
    }
    let mut node = Node::new(SENSORS, Some(trial.key))?;
    node.server
        .sample(node.now, 0, 1234.5, &mut |_: Peer, _: &[u8]| {});
    let place = if trial.what == 2 {
        READER
    } else {
        ADMINISTRATOR
    };
    let mut client = Client::new(place)?;
    node.meet(&mut client, PEER)?;
    let asked = |code, path, behind, payload| Asked {
        code,
        path,
        before: &[],
        behind,
        payload,
    };
    let level: &[&str] = &["sensors", "level"];
    let package = trial.package.get(..trial.length as usize)?;
    let mut request = match trial.what {
        2 | 6 => client.protect(&asked(Code::PUT, &["time"], &[], b"1700000000"))?,
        4 => client.protect(&asked(Code::PUT, &["app"], &[], package))?,
        _ => client.protect(&asked(Code::GET, level, &[], &[]))?,
    };
    if let Some(tag) = request
        .length
        .checked_sub(wasmote_oscore::TAG)
        .and_then(|at| request.bytes.get_mut(at..at + wasmote_oscore::TAG))
    {
        match (trial.what, tag) {
            (0, [.., last]) => *last ^= 1,
            (1, tag) => tag.iter_mut().for_each(|byte| *byte ^= 0xa5),
            _ => {}
        }
    }
    if trial.what == 3 {
        let mut bytes = [0; 1200];
        let mut w = Writer::new(&mut bytes, Kind::Con, Code::GET, 0x4000, b"tk");
        level
            .iter()
            .for_each(|s| w.option(option::URI_PATH, s.as_bytes()));
        let length = w.finish(&[])?.len();
        request = Datagram { bytes, length };
    }
    let mut answer = Datagram::new();
    skip_begin();
    node.ask(PEER, request.get(), &mut answer);
    node.settle_into(&mut answer);
    skip_judge();
    // Not by what the node says that it has done, but by what it gave away, or became.
    let opened = client.read(answer.get()).map(|(_, payload)| payload);
    let path: &[&str] = match trial.what {
        2 | 6 => &["time"],
        4 => &["app"],
        _ => {
            let plain = Message::parse(answer.get()).is_ok_and(|m| m.payload == VALUE);
            return Some(plain || opened.is_some_and(|payload| payload == VALUE));
        }
    };
    let mut administrator = Client::new(ADMINISTRATOR)?;
    // Its numbers go on behind those that were used.
    administrator.skip(1_000);
    node.meet(&mut administrator, OBSERVER)?;
    let request = administrator.protect(&asked(Code::GET, path, &[], &[]))?;
    node.ask(OBSERVER, request.get(), &mut answer);
    let (_, payload) = administrator.read(answer.get())?;
    Some(if path == ["time"] {
        payload.starts_with(b"17")
    } else {
        !payload.windows(5).any(|part| part == b"empty")
    })
}
