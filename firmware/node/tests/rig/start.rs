//! How a node starts.
use super::{Clock, Host, Memory, Rig, SENSORS, STRANGERS};
use wasmote_node::slot::Slots;
use wasmote_node::{Board, Keyring, Limits, Provision, Runner, Sensor, Server};

impl Rig {
    pub fn boot(memory: &Memory, keys: &[[u8; 32]]) -> Self {
        Self::boot_at(memory, keys, None)
    }

    /// A node whose clients are at hosts.
    pub fn boot_at(memory: &Memory, keys: &[[u8; 32]], host: Option<Host>) -> Self {
        let mut provision = Provision::default();
        for key in keys {
            provision.keys.push(*key).unwrap();
        }
        Self::made(memory, provision, SENSORS, host).rested()
    }

    pub fn provisioned(memory: &Memory, provision: Provision) -> Self {
        Self::fitted(memory, provision, SENSORS)
    }

    /// A node with these sensors.
    pub fn fitted(memory: &Memory, provision: Provision, sensors: &'static [Sensor]) -> Self {
        Self::made(memory, provision, sensors, None).rested()
    }

    /// A node that says that it is ready, and has had no time for anything since: as on boards, the Runner has taken its first step.
    pub fn ready(memory: &Memory, provision: Provision) -> Self {
        let mut rig = Self::made(memory, provision, SENSORS, None);
        rig.runner.step(&mut rig.clock);
        rig
    }

    fn rested(mut self) -> Self {
        self.settle();
        self
    }

    fn made(
        memory: &Memory,
        provision: Provision,
        sensors: &'static [Sensor],
        host: Option<Host>,
    ) -> Self {
        let slots = Slots::at(memory.clone(), memory.layout.places);
        let board = Board {
            name: "rig",
            class: "test",
            version: "0",
            clock: "virtual",
            hertz: 0,
            reset: "power on",
            missing: heapless::Vec::new(),
            readout: None,
            sensors,
            memory: 16 * 1024,
            package: slots.capacity(),
            fuel: 100_000,
        };
        let (server_memory, runner_memory) =
            Box::leak(Box::new(wasmote_node::Memory::new())).split();
        let region = vec![0u64; 2048].leak();
        // SAFETY: the same memory as bytes, for as long.
        let region =
            unsafe { core::slice::from_raw_parts_mut(region.as_mut_ptr().cast::<u8>(), 16 * 1024) };
        let limits = Limits {
            class: "test",
            fuel: 100_000,
            sensors,
        };
        let keyring = Keyring::load(&slots, &provision);
        let runner = Runner::new(slots, region, provision.clone(), limits, runner_memory);
        let mut rig = Self {
            server: Server::new(board, provision, &keyring, server_memory, 1, host),
            runner,
            clock: Clock(1_000_000, 0, true, 1),
            id: 1,
            peer: 1,
            notified: 0,
            heard: vec![],
            serial: 0,
            memory: memory.clone(),
        };
        // Its clients are as on a serial line, but for strangers.
        rig.server.trust(|peer| *peer < STRANGERS);
        rig
    }
}
