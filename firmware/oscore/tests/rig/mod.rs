//! The stage before a real server, and a client that protects with the same keys.
#![allow(dead_code, missing_docs, reason = "each test uses its part")]
use wasmote_coap::{
    Answer, Application, Code, Kind, Message, Request, Response, Server, WebLink, Writer, option,
};
use wasmote_oscore::option::{LONGEST, piv};
use wasmote_oscore::{Compressed, Context, Entry, Id, Material, Stage, TAG, Window};

/// The resource `value`, as the server numbers what is observed.
pub const VALUE: u16 = 0;

/// The ticket of whoever reads `slow`.
pub const SLOW: u16 = 7;

/// A resource that can be set, one that is large, one that is answered later, and who asked.
#[derive(Default)]
pub struct App {
    pub value: u32,
    pub changes: u32,
    pub contexts: Vec<Option<u8>>,
}

impl Application for App {
    fn handle(&mut self, request: &Request<'_>, response: &mut Response<'_>) -> Answer {
        self.contexts.push(request.principal.context);
        match (request.method, request.path().next()) {
            (Code::GET, Some("value")) => response.write(self.value.to_string().as_bytes()),
            (Code::PUT, Some("value")) => {
                self.value = std::str::from_utf8(request.payload)
                    .unwrap()
                    .parse()
                    .unwrap();
                self.changes += 1;
            }
            (Code::GET, Some("large")) => {
                let body: Vec<u8> = (0..3_000u32).map(|at| (at / 7) as u8).collect();
                response.write(&body);
            }
            (Code::GET, Some("slow")) => return Answer::Later(SLOW),
            _ => response.code(Code::NOT_FOUND),
        }
        Answer::Now
    }

    fn observable(&mut self, request: &Request<'_>) -> Option<u16> {
        request.path().eq(["value"]).then_some(VALUE)
    }

    fn web_link(&self, _: usize, _: &mut dyn FnMut(&WebLink<'_>)) -> bool {
        false
    }
}

/// Both ends of a context, derived from a secret.
pub fn material(secret: &[u8], server: bool) -> Material<'_> {
    let (node, client) = (Id::new(&[1]).unwrap(), Id::new(&[2]).unwrap());
    Material {
        secret,
        salt: b"salt",
        id_context: None,
        sender: if server { node } else { client },
        recipient: if server { client } else { node },
    }
}

/// A server behind the stage, and a client that has the same secret.
pub struct Rig {
    pub server: Server<u8, Stage>,
    /// Who talks to it.
    pub peer: u8,
    pub app: App,
    pub now: u64,
    pub id: u16,
    /// The next sequence number of the client.
    pub next: u64,
    pub client: Context,
    /// What lies in flash.
    pub limit: u64,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub struct Got {
    pub code: Code,
    pub payload: Vec<u8>,
    pub echo: Option<Vec<u8>>,
    pub observe: bool,
    pub block: Option<Vec<u8>>,
    /// The Partial IV of the answer; `None` where it has the nonce of the request.
    pub number: Option<u64>,
}

/// The node's end of the context.
pub fn entry<'m>(limit: u64, window: Option<Window>) -> Entry<'m> {
    Entry {
        material: material(b"a secret of both", true),
        rights: 5,
        limit,
        window,
    }
}

impl Rig {
    pub fn new() -> Self {
        Self::at(0, Some(Window::new()))
    }

    /// After a start with this limit in flash.
    pub fn at(limit: u64, window: Option<Window>) -> Self {
        let mut stage = Stage::new();
        assert!(stage.set(3, Some(&entry(limit, window))));
        let mut server = Server::with(7, stage);
        server.trust(|_| true);
        let mut rig = Self {
            server,
            peer: 9,
            app: App::default(),
            now: 1_000,
            id: 0,
            next: 0,
            client: Context::derive(&material(b"a secret of both", false)).unwrap(),
            limit,
        };
        rig.reserve();
        rig
    }

    /// What the journal does when it has time.
    pub fn reserve(&mut self) {
        let wanted: Vec<_> = self.server.security().wanted().collect();
        for (context, limit) in wanted {
            self.limit = limit;
            self.server.security().reserved(context, limit);
        }
    }

    /// Hands over a datagram; what the node sends.
    pub fn sends(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        let mut out = vec![];
        let mut transmit = |_: u8, datagram: &[u8]| out.push(datagram.to_vec());
        self.server.receive(
            self.now,
            self.peer,
            false,
            datagram,
            &mut self.app,
            &mut transmit,
        );
        self.server.poll(self.now, &mut self.app, &mut transmit);
        out
    }

    /// A protected request: its datagram and its sequence number.
    pub fn request(
        &mut self,
        code: Code,
        options: &[(u16, &[u8])],
        payload: &[u8],
        token: &[u8],
    ) -> (Vec<u8>, u64) {
        let mut buffer = [0; 1_200];
        let mut w = Writer::new(&mut buffer, Kind::Con, code, 0, &[]);
        for (number, value) in options {
            w.option(*number, value);
        }
        let inner = w.finish(payload).unwrap();
        let mut sealed = vec![inner[1]];
        sealed.extend(&inner[4..]);
        let number = self.next;
        self.next += 1;
        let length = sealed.len();
        sealed.resize(length + TAG, 0);
        let sender = self.client.sender;
        let nonce = self.client.nonce(&sender, number);
        self.client
            .seal(&nonce, (&sender, number), &mut sealed, length)
            .unwrap();
        let (bytes, significant) = piv(number);
        let compressed = Compressed {
            piv: &bytes[8 - significant..],
            kid_context: None,
            kid: Some(sender.bytes()),
        };
        let mut room = [0; LONGEST];
        let value = compressed.write(&mut room).unwrap();
        let observe = options
            .iter()
            .find(|(number, _)| *number == option::OBSERVE);
        self.id += 1;
        let mut buffer = [0; 1_300];
        let outer = if observe.is_some() {
            Code::FETCH
        } else {
            Code::POST
        };
        let mut w = Writer::new(&mut buffer, Kind::Con, outer, self.id, token);
        if let Some((number, value)) = observe {
            w.option(*number, value);
        }
        w.option(option::OSCORE, value);
        (w.finish(&sealed).unwrap().to_vec(), number)
    }

    /// Opens what answers the request with this number.
    pub fn opens(&self, datagram: &[u8], request: u64) -> Got {
        self.opened(datagram, request).expect("authentic")
    }

    /// The same; `None` where it does not answer this request.
    pub fn opened(&self, datagram: &[u8], request: u64) -> Option<Got> {
        let message = Message::parse(datagram).unwrap();
        let value = message
            .options
            .get(option::OSCORE)
            .expect("a protected answer");
        let compressed = Compressed::parse(value).unwrap();
        let number = compressed.number();
        let (sender, node) = (self.client.sender, self.client.recipient);
        let nonce = match number {
            Some(number) => self.client.nonce(&node, number),
            None => self.client.nonce(&sender, request),
        };
        let mut bytes = message.payload.to_vec();
        let opened = self.client.open(&nonce, (&sender, request), &mut bytes);
        let inner = message.within(&bytes[..opened.ok()?]).unwrap();
        let outer = if inner.options.get(option::OBSERVE).is_some() {
            Code::CONTENT
        } else {
            Code::CHANGED
        };
        assert_eq!(message.code, outer);
        Some(Got {
            code: inner.code,
            payload: inner.payload.to_vec(),
            echo: inner.options.get(option::ECHO).map(<[u8]>::to_vec),
            observe: inner.options.get(option::OBSERVE).is_some(),
            block: inner.options.get(option::BLOCK2).map(<[u8]>::to_vec),
            number,
        })
    }

    /// Asks under protection, and opens the only answer.
    pub fn asks(&mut self, code: Code, options: &[(u16, &[u8])], payload: &[u8]) -> Got {
        let (datagram, number) = self.request(code, options, payload, b"t");
        let out = self.sends(&datagram);
        assert_eq!(out.len(), 1);
        self.opens(&out[0], number)
    }

    /// Reads a resource.
    pub fn get(&mut self, path: &str) -> Got {
        self.asks(Code::GET, &[(option::URI_PATH, path.as_bytes())], &[])
    }
}
