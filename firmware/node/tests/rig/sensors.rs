//! A node with several sensors: what each says, and who is told of it.
use super::Rig;
use wasmote_coap::{Code, Kind, Message, Writer, option};
use wasmote_node::{Fault, Step};

/// What an observer is told: its token, and what the notification says.
pub type Told = (Vec<u8>, Code, Vec<u8>);

impl Rig {
    /// Observes a resource (RFC 7641 §3.1) in this format; the token of its notifications.
    pub fn watch(&mut self, path: &str, format: u8) -> Vec<u8> {
        let options = [
            (option::OBSERVE, vec![]),
            (option::ACCEPT, vec![format; usize::from(format > 0)]),
        ];
        let answers = self.exchange(Code::GET, path, &options, &[]);
        let answer = Message::parse(&answers[0]).unwrap();
        assert!(answer.options.get(option::OBSERVE).is_some(), "{path}");
        answer.token.to_vec()
    }

    /// A sample of the sensor with this number.
    pub fn sample_of(&mut self, sensor: u8, value: f32) -> Vec<Told> {
        let (now, mut sent) = (self.now(), vec![]);
        let mut out = |_: u8, d: &[u8]| sent.push(d.to_vec());
        self.server.sample(now, sensor, value, &mut out);
        self.notifications(sent)
    }

    /// A distance that the ranger with this number measured.
    pub fn distance_of(&mut self, sensor: u8, value: f32) -> Vec<Told> {
        let (now, mut sent) = (self.now(), vec![]);
        let mut out = |_: u8, d: &[u8]| sent.push(d.to_vec());
        self.server.distance(now, sensor, value, &mut out);
        self.notifications(sent)
    }

    /// A fault of the sensor with this number.
    pub fn fault_of(&mut self, sensor: u8, fault: Fault) -> Vec<Told> {
        let (now, mut sent) = (self.now(), vec![]);
        let mut out = |_: u8, d: &[u8]| sent.push(d.to_vec());
        self.server.fault(now, sensor, fault, &mut out);
        self.notifications(sent)
    }

    /// Samples, by number of the sensor, and then faults, all at one moment while the Runner has no time.
    pub fn at_once(&mut self, samples: &[(u8, f32)], faults: &[(u8, Fault)]) {
        let now = self.now();
        let mut out = |_: u8, _: &[u8]| {};
        for (sensor, value) in samples {
            self.server.sample(now, *sensor, *value, &mut out);
        }
        for (sensor, fault) in faults {
            self.server.fault(now, *sensor, *fault, &mut out);
        }
    }

    /// Lets time pass, in milliseconds, with clients that acknowledge; what they are told meanwhile.
    pub fn pass_with_clients(&mut self, millis: u64) -> Vec<Told> {
        let end = self.now() + millis;
        let mut told = vec![];
        loop {
            let (now, mut sent) = (self.now(), vec![]);
            let mut out = |_: u8, d: &[u8]| sent.push(d.to_vec());
            let due = self.server.poll(now, &mut out);
            told.extend(self.notifications(sent));
            let Some(due) = due.filter(|due| *due < end) else {
                break;
            };
            self.clock.0 = self.clock.0.max(due * 1000);
        }
        self.clock.0 = self.clock.0.max(end * 1000);
        told
    }

    /// All notifications among what was sent and what follows on it, in their order. Confirmable ones are acknowledged.
    fn notifications(&mut self, mut sent: Vec<Vec<u8>>) -> Vec<Told> {
        sent.extend(self.settle());
        let mut told = vec![];
        while let Some(datagram) = (!sent.is_empty()).then(|| sent.remove(0)) {
            let message = Message::parse(&datagram).unwrap();
            if message.kind == Kind::Con {
                let mut buffer = [0; 8];
                let ack = Writer::new(&mut buffer, Kind::Ack, Code(0), message.id, &[]);
                let ack = ack.finish(&[]).unwrap().to_vec();
                let peer = self.peer;
                let now = self.now();
                let mut out = |_: u8, d: &[u8]| sent.push(d.to_vec());
                self.server.receive(now, peer, false, &ack, &mut out);
                sent.extend(self.settle());
            }
            told.push((
                message.token.to_vec(),
                message.code,
                message.payload.to_vec(),
            ));
        }
        told
    }

    /// Whether the Runner would sleep now.
    pub fn sleeps(&mut self) -> bool {
        matches!(self.runner.step(&mut self.clock), Step::Idle(_))
    }

    /// Whether the Runner says that there is something to fetch.
    pub fn has_mail(&self) -> bool {
        self.runner.has_mail()
    }
}
