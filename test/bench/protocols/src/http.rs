//! HTTP/1.1 (RFC 9112): the least of a server, around a parser by others.
use crate::meter::Meter;
use crate::{Exchange, SOCKETS, value};
use core::fmt::Write;
use httparse::{Request, Status};
use smoltcp::iface::{self, SocketHandle, SocketSet};
use smoltcp::socket::tcp;

const PORT: u16 = 80;
/// Bytes of the longest request, and of what waits for its acknowledgement.
const RECEIVED: usize = 1024;
const SENDING: usize = 512;
const HEADERS: usize = 16;

pub struct Http {
    /// Closing connections keep their sockets for some packets, in which the next client must find another.
    sockets: [SocketHandle; SOCKETS],
}

/// What a request is answered with.
struct Reply {
    status: &'static str,
    /// Whether the value is in it.
    value: bool,
    close: bool,
}

impl Http {
    pub fn new(sockets: &mut SocketSet<'_>) -> Self {
        let (Some(received), Some(sending)) = (
            cortex_m::singleton!(: [[u8; RECEIVED]; SOCKETS] = [[0; RECEIVED]; SOCKETS]),
            cortex_m::singleton!(: [[u8; SENDING]; SOCKETS] = [[0; SENDING]; SOCKETS]),
        ) else {
            unreachable!()
        };
        let mut buffers = received.iter_mut().zip(sending);
        Self {
            sockets: [(); SOCKETS].map(|()| {
                let Some((received, sending)) = buffers.next() else {
                    unreachable!()
                };
                let buffer = tcp::SocketBuffer::new;
                sockets.add(tcp::Socket::new(
                    buffer(&mut received[..]),
                    buffer(&mut sending[..]),
                ))
            }),
        }
    }
}

/// The first request of what came: its bytes and the reply, once it is complete.
fn read(bytes: &[u8]) -> Option<(usize, Reply)> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = Request::new(&mut headers);
    let refused = |status| Reply {
        status,
        value: false,
        close: true,
    };
    match request.parse(bytes) {
        Ok(Status::Partial) if bytes.len() < RECEIVED => None,
        Ok(Status::Partial) => Some((bytes.len(), refused("431 Request Header Fields Too Large"))),
        Err(_) => Some((bytes.len(), refused("400 Bad Request"))),
        Ok(Status::Complete(length)) => {
            let close = request.headers.iter().any(|header| {
                header.name.eq_ignore_ascii_case("connection")
                    && header.value.eq_ignore_ascii_case(b"close")
            });
            let reply = match (request.method, request.path) {
                (Some("GET"), Some("/sensors/level")) => Reply {
                    status: "200 OK",
                    value: true,
                    close,
                },
                (Some("GET"), _) => refused("404 Not Found"),
                _ => refused("501 Not Implemented"),
            };
            Some((length, reply))
        }
    }
}

/// The reply as it is sent. A server without a clock sends no Date (RFC 9110 §6.6.1).
fn write(reply: &Reply) -> heapless::String<192> {
    let mut body = heapless::String::<16>::new();
    if reply.value {
        let _ = write!(body, "{}", value(0));
    }
    let mut text = heapless::String::new();
    let _ = write!(
        text,
        "HTTP/1.1 {}\r\n{}Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
        reply.status,
        if reply.close {
            "Connection: close\r\n"
        } else {
            ""
        },
        body.len(),
    );
    text
}

impl Exchange for Http {
    fn turn(
        &mut self,
        _: u64,
        sockets: &mut SocketSet<'_>,
        _: &mut iface::Interface,
        _: &mut Meter,
    ) -> bool {
        let mut answered = false;
        for handle in self.sockets {
            let socket = sockets.get_mut::<tcp::Socket<'_>>(handle);
            // In HTTP's favour: by itself a closed connection holds its socket for 10 s more (RFC 9293 §3.6.1 asks for four minutes).
            if !socket.is_open() {
                let _ = socket.listen(PORT);
            }
            let mut bytes = [0; RECEIVED];
            let length = socket.peek_slice(&mut bytes).unwrap_or(0);
            if length > 0
                && let Some((mut left, reply)) = bytes.get(..length).and_then(read)
            {
                while left > 0 {
                    let taken = socket.recv(|part| (part.len().min(left), part.len().min(left)));
                    left -= taken.unwrap_or(left);
                }
                let _ = socket.send_slice(write(&reply).as_bytes());
                answered = true;
                if reply.close {
                    socket.close();
                }
            }
            // The client has closed.
            if socket.state() == tcp::State::CloseWait && socket.recv_queue() == 0 {
                socket.close();
            }
        }
        answered
    }
}
