//! MQTT 3.1.1: the least of a client, around a codec by others. What the broker says is taken to be well-formed.
use crate::meter::Meter;
use crate::{Exchange, HOST, PERIOD, value};
use core::fmt::Write;
use mqttrs::{
    Connect, ConnectReturnCode, Packet, Pid, Protocol, Publish, QosPid, decode_slice, encode_slice,
};
use smoltcp::iface::{self, SocketHandle, SocketSet};
use smoltcp::socket::tcp;

const RECEIVED: usize = 256;
const SENDING: usize = 256;
const TOPIC: &str = "sensors/level";
const CLIENT: &str = "wasmote";
/// Seconds after which a broker gives up a client it hears nothing of (MQTT 3.1.1 §3.1.2.10).
const KEEP_ALIVE: u16 = 60;
/// The first of the dynamic ports (RFC 6335 §6).
const LOCAL: u16 = 49_152;

/// What is done again and again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    AtMostOnce,
    AtLeastOnce,
    /// A connection for each value.
    Each,
    Ping,
}

impl Mode {
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "mqtt0" => Some(Self::AtMostOnce),
            "mqtt1" => Some(Self::AtLeastOnce),
            "mqtt-each" => Some(Self::Each),
            "mqtt-ping" => Some(Self::Ping),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// There is no connection.
    Away,
    /// It is being made.
    Connecting,
    /// CONNECT was sent.
    Greeting,
    Ready,
    /// For the broker's acknowledgement.
    Waiting,
    Closing,
}

pub struct Mqtt {
    socket: SocketHandle,
    mode: Mode,
    port: u16,
    state: State,
    number: u32,
    next: u64,
    id: Pid,
}

impl Mqtt {
    pub fn new(sockets: &mut SocketSet<'_>, mode: Mode, port: u16) -> Self {
        let (Some(received), Some(sending)) = (
            cortex_m::singleton!(: [u8; RECEIVED] = [0; RECEIVED]),
            cortex_m::singleton!(: [u8; SENDING] = [0; SENDING]),
        ) else {
            unreachable!()
        };
        let buffer = tcp::SocketBuffer::new;
        let socket = tcp::Socket::new(buffer(&mut received[..]), buffer(&mut sending[..]));
        Self {
            socket: sockets.add(socket),
            mode,
            port,
            state: State::Away,
            number: 0,
            next: 0,
            id: Pid::new(),
        }
    }

    /// Sends what an exchange begins with, once there is a connection to the broker.
    fn begin(&mut self, socket: &mut tcp::Socket<'_>) {
        let mut text = heapless::String::<16>::new();
        let _ = write!(text, "{}", value(self.number));
        let publish = |qospid| {
            Packet::Publish(Publish {
                dup: false,
                qospid,
                retain: false,
                topic_name: TOPIC,
                payload: text.as_bytes(),
            })
        };
        self.number += 1;
        self.state = match self.mode {
            Mode::AtMostOnce => {
                send(socket, &[publish(QosPid::AtMostOnce)]);
                State::Ready
            }
            Mode::AtLeastOnce => {
                self.id = self.id + 1;
                send(socket, &[publish(QosPid::AtLeastOnce(self.id))]);
                State::Waiting
            }
            Mode::Each => {
                send(socket, &[publish(QosPid::AtMostOnce), Packet::Disconnect]);
                socket.close();
                State::Closing
            }
            Mode::Ping => {
                send(socket, &[Packet::Pingreq]);
                State::Waiting
            }
        };
    }
}

/// Sends packets in one segment.
fn send(socket: &mut tcp::Socket<'_>, packets: &[Packet<'_>]) {
    let mut bytes = [0; SENDING];
    let mut length = 0;
    for packet in packets {
        let room = bytes.get_mut(length..).unwrap_or_default();
        match encode_slice(packet, room) {
            Ok(more) => length += more,
            Err(_) => panic!("a packet has no room"),
        }
    }
    if socket.send_slice(bytes.get(..length).unwrap_or_default()) != Ok(length) {
        panic!("the connection takes no packet");
    }
}

/// Takes the next packet of the broker's; says whether it is the one that is waited for.
fn receive(socket: &mut tcp::Socket<'_>, wanted: impl Fn(&Packet<'_>) -> bool) -> bool {
    let mut bytes = [0; RECEIVED];
    let length = socket.peek_slice(&mut bytes).unwrap_or(0);
    let Ok(Some(packet)) = decode_slice(bytes.get(..length).unwrap_or_default()) else {
        return false;
    };
    let found = wanted(&packet);
    // CONNACK, PUBACK and PINGRESP have one byte of length.
    let [_, rest, ..] = bytes;
    let mut taken = [0; RECEIVED];
    let whole = taken.get_mut(..usize::from(rest) + 2).unwrap_or_default();
    let _ = socket.recv_slice(whole);
    found
}

impl Exchange for Mqtt {
    fn turn(
        &mut self,
        now: u64,
        sockets: &mut SocketSet<'_>,
        stack: &mut iface::Interface,
        meter: &mut Meter,
    ) -> bool {
        let socket = sockets.get_mut::<tcp::Socket<'_>>(self.socket);
        let each = self.mode == Mode::Each;
        match self.state {
            State::Away if now >= self.next => {
                if each {
                    meter.cut(0);
                    self.next = now + PERIOD;
                }
                let local = LOCAL + (self.number % 10_000) as u16;
                if socket
                    .connect(stack.context(), (HOST, self.port), local)
                    .is_err()
                {
                    panic!("no connection can be made");
                }
                self.state = State::Connecting;
            }
            State::Connecting if socket.may_send() => {
                let hello = Packet::Connect(Connect {
                    protocol: Protocol::MQTT311,
                    keep_alive: KEEP_ALIVE,
                    client_id: CLIENT,
                    clean_session: true,
                    last_will: None,
                    username: None,
                    password: None,
                });
                send(socket, &[hello]);
                self.state = State::Greeting;
            }
            State::Greeting => {
                let welcome = |packet: &Packet<'_>| match packet {
                    Packet::Connack(answer) => answer.code == ConnectReturnCode::Accepted,
                    _ => false,
                };
                if receive(socket, welcome) {
                    self.state = State::Ready;
                    if each {
                        self.begin(socket);
                    } else {
                        self.next = now + PERIOD;
                    }
                }
            }
            // The last one has arrived, as far as TCP knows.
            State::Ready if now >= self.next && socket.send_queue() == 0 => {
                meter.cut(0);
                self.next = now + PERIOD;
                self.begin(socket);
            }
            State::Waiting => {
                let id = self.id;
                let answer = |packet: &Packet<'_>| match packet {
                    Packet::Puback(of) => *of == id,
                    Packet::Pingresp => true,
                    _ => false,
                };
                if receive(socket, answer) {
                    self.state = State::Ready;
                }
            }
            State::Closing if !socket.is_open() => self.state = State::Away,
            _ if self.state != State::Away && self.state != State::Closing && !socket.is_open() => {
                panic!("the broker is not there, or has closed the connection")
            }
            _ => {}
        }
        false
    }

    fn due(&self) -> Option<u64> {
        matches!(self.state, State::Away | State::Ready).then_some(self.next)
    }
}
