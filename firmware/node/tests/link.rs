//! The serial link's frames against those of the crate `slipmux`, which nobody here wrote. The firmware does without it: there a
//! frame goes byte by byte into the queue that the line is fed from, and comes out of one, with no buffer of the frame between.
#![allow(clippy::unwrap_used, clippy::panic)]
use slipmux::{BufferedFrameHandler, Decoder, FrameType, Slipmux, encode};
use wasmote_node::link;

/// Datagrams of every length up to the longest, many of them full of the bytes that are escaped.
fn datagrams() -> impl Iterator<Item = Vec<u8>> {
    let mut seed = 1u32;
    let mut next = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    (1..=wasmote_coap::MTU).step_by(3).map(move |length| {
        let special = [0xc0, 0xdb, 0xdc, 0xdd, 0x0a, 0xa9];
        let mut byte = || match next() {
            b if b < 100 => special.get(usize::from(b) % 6).copied().unwrap_or(b),
            b => b,
        };
        (0..length).map(|_| byte()).collect()
    })
}

#[test]
fn the_crate_reads_what_the_node_writes() {
    let mut line = Vec::new();
    for (number, datagram) in datagrams().enumerate() {
        link::diagnostic(&format!("line {number}"), |b| line.push(b));
        link::encode(&datagram, |b| line.push(b));
    }
    let mut handler = BufferedFrameHandler::new();
    let mut decoder = Decoder::new();
    for byte in line {
        decoder.decode(byte, &mut handler).unwrap();
    }
    let (mut read, mut lines) = (Vec::new(), 0);
    for frame in handler.results {
        match frame {
            Ok(Slipmux::Configuration(datagram)) => read.push(datagram),
            Ok(Slipmux::Diagnostic(text)) => {
                assert_eq!(text, format!("line {lines}\n"));
                lines += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(read.iter().eq(datagrams().collect::<Vec<_>>().iter()));
    assert_eq!(lines, read.len());
}

#[test]
fn the_node_reads_what_the_crate_writes() {
    let mut decoder = link::Decoder::new();
    for datagram in datagrams() {
        let mut line = vec![0; datagram.len() * 2 + 16];
        let length = encode(FrameType::Diagnostic, b"for people", &mut line);
        assert!(line.drain(..length).all(|b| decoder.push(b).is_none()));
        line.resize(datagram.len() * 2 + 16, 0);
        let length = encode(FrameType::Configuration, &datagram, &mut line);
        let mut read = Vec::new();
        for byte in line.drain(..length) {
            read.extend(decoder.push(byte).map(<[u8]>::to_vec));
        }
        assert_eq!(read, [datagram]);
    }
    assert_eq!(decoder.damaged, 0);
}
