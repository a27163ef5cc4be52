//! Somebody who has a security context with a node.
use super::Rig;
use std::collections::BTreeSet;
use wasmote_coap::{Code, Kind, Message, Writer, option};
use wasmote_oscore::option::{LONGEST, piv};
use wasmote_oscore::{Compressed, Context, Id, Material, TAG};

/// Somebody who holds a context.
#[derive(Clone)]
pub struct Holder {
    pub context: Context,
    pub next: u64,
    /// Of its last message.
    pub id: u16,
    /// The node's own numbers under this context, as they came: none may come twice.
    pub numbers: BTreeSet<u64>,
}

/// An answer: whether it was protected, its code and payload.
pub type Got = (bool, Code, Vec<u8>);

impl Holder {
    pub fn of(bytes: &[u8; 19]) -> Self {
        let [peer, node] = [bytes[16], bytes[17]].map(|id| Id::new(&[id]).unwrap());
        let material = Material {
            secret: &bytes[..16],
            salt: &[],
            id_context: None,
            sender: peer,
            recipient: node,
        };
        Self::with(&material)
    }

    /// The holder of a context of this, whose ID has one byte.
    pub fn with(material: &Material<'_>) -> Self {
        Self {
            context: Context::derive(material).unwrap(),
            next: 0,
            id: u16::from(material.sender.bytes()[0]) << 8,
            numbers: BTreeSet::new(),
        }
    }

    /// A protected request, and its number.
    pub fn request(
        &mut self,
        code: Code,
        path: &str,
        echo: &[u8],
        payload: &[u8],
    ) -> (Vec<u8>, u64) {
        let mut buffer = [0; 1_200];
        let mut w = Writer::new(&mut buffer, Kind::Con, code, 0, &[]);
        for segment in path.split('/') {
            w.option(option::URI_PATH, segment.as_bytes());
        }
        if !echo.is_empty() {
            w.option(option::ECHO, echo);
        }
        let inner = w.finish(payload).unwrap();
        let mut sealed = vec![inner[1]];
        sealed.extend(&inner[4..]);
        let number = self.next;
        self.next += 1;
        let length = sealed.len();
        sealed.resize(length + TAG, 0);
        let sender = self.context.sender;
        let nonce = self.context.nonce(&sender, number);
        let request = (&sender, number);
        self.context
            .seal(&nonce, request, &mut sealed, length)
            .unwrap();
        let (bytes, significant) = piv(number);
        let compressed = Compressed {
            piv: &bytes[8 - significant..],
            kid_context: None,
            kid: Some(sender.bytes()),
        };
        let mut room = [0; LONGEST];
        let value = compressed.write(&mut room).unwrap();
        self.id += 1;
        let mut buffer = [0; 1_300];
        let mut w = Writer::new(&mut buffer, Kind::Con, Code::POST, self.id, b"t");
        w.option(option::OSCORE, value);
        (w.finish(&sealed).unwrap().to_vec(), number)
    }

    /// What came back, and the Echo value in it.
    pub fn opens(&mut self, datagram: &[u8], request: u64) -> (Got, Vec<u8>) {
        let message = Message::parse(datagram).unwrap();
        let Some(value) = message.options.get(option::OSCORE) else {
            return ((false, message.code, message.payload.to_vec()), vec![]);
        };
        let number = Compressed::parse(value).unwrap().number();
        let (sender, node) = (self.context.sender, self.context.recipient);
        let nonce = match number {
            Some(number) => {
                assert!(self.numbers.insert(number), "{number} was used before");
                self.context.nonce(&node, number)
            }
            None => self.context.nonce(&sender, request),
        };
        let mut bytes = message.payload.to_vec();
        let length = self.context.open(&nonce, (&sender, request), &mut bytes);
        let inner = message
            .within(&bytes[..length.expect("authentic")])
            .unwrap();
        let echo = inner.options.get(option::ECHO).unwrap_or(&[]).to_vec();
        ((true, inner.code, inner.payload.to_vec()), echo)
    }

    /// Asks once.
    pub fn once(
        &mut self,
        node: &mut Rig,
        code: Code,
        path: &str,
        echo: &[u8],
        payload: &[u8],
    ) -> (Got, Vec<u8>) {
        let (datagram, number) = self.request(code, path, echo, payload);
        let answers = node.datagram(&datagram);
        assert_eq!(answers.len(), 1, "{path}");
        self.opens(&answers[0], number)
    }

    /// The same of a node that may be without power, or must save its numbers first.
    pub fn tries(&mut self, node: &mut Rig, code: Code, path: &str, payload: &[u8]) -> Option<Got> {
        let mut echo = vec![];
        for _ in 0..2 {
            let (datagram, number) = self.request(code, path, &echo, payload);
            let answers = node.datagram(&datagram);
            let (got, more) = self.opens(answers.first()?, number);
            if more.is_empty() {
                return Some(got);
            }
            echo = more;
        }
        None
    }

    /// Asks, and echoes what has to be echoed.
    pub fn asks(&mut self, node: &mut Rig, code: Code, path: &str, payload: &[u8]) -> Got {
        let (got, echo) = self.once(node, code, path, &[], payload);
        if echo.is_empty() {
            return got;
        }
        self.once(node, code, path, &echo, payload).0
    }
}
