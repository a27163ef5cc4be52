//! A CoAP server with the resources of the ETSI plugtests, and no node behind it: `--pty` for a pseudo-terminal, else UDP on a free port.
//!
//! Standard output is one JSON object a line, as of the node on Linux. Standard input takes `advance MILLISECONDS`, `reset` and
//! `quit`.
mod resources;

use resources::Plugtest;
use std::error::Error;
use std::io::BufRead;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::Duration;
use wasmote_native::intake::{Event, Inbox, Intake, Peer};
use wasmote_native::line::{Line, Link, say, seed};

/// Serves the resources until it is told to stop (`false`) or to begin anew (`true`).
fn serve(line: &mut Line, name: &str, inbox: &Inbox) -> bool {
    let mut server = Plugtest::new(seed(), |peer| matches!(peer, Peer::Serial));
    say(0, &format!("\"event\":\"ready\",{name}"));
    loop {
        let mut out = |to: Peer, datagram: &[u8]| line.send(to, datagram);
        let wait = server.poll(&mut out);
        match inbox.wait(Duration::from_millis(wait)) {
            Some(Event::Datagram(from, multicast, datagram)) => {
                server.receive(from, multicast, &datagram, &mut out);
            }
            Some(Event::Command(command)) => {
                match command.split_whitespace().collect::<Vec<_>>().as_slice() {
                    ["advance", milliseconds] => {
                        server.advance(milliseconds.parse().unwrap_or(0), &mut out);
                        say(0, "\"event\":\"advanced\"");
                    }
                    ["reset"] => return true,
                    ["quit"] => return false,
                    _ => eprintln!("wasmote-plugtest: unknown command: {command}"),
                }
            }
            Some(Event::Closed) => return false,
            Some(Event::Memory) | None => {}
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let link = match std::env::args().nth(1).as_deref() {
        None => Link::Udp(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?),
        Some("--pty") => Link::Pty,
        Some(other) => return Err(format!("unknown option: {other}").into()),
    };
    let (events, inbox) = Intake::new();
    let (mut line, name) = link.open(&events)?;
    let commands = events.clone();
    thread::spawn(move || {
        for command in std::io::stdin().lock().lines().map_while(Result::ok) {
            commands.send(Event::Command(command));
        }
        // Whoever started this has gone.
        commands.send(Event::Closed);
    });
    while serve(&mut line, &name, &inbox) {}
    Ok(())
}
