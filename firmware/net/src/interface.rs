//! The network interface of a node: smoltcp's, with a DHCP client, a fall-back address, the CoAP group and one UDP socket.
use crate::device::Watched;
use crate::host::{is_host, is_host_in};
use crate::output::{self, Outbox, Output, count};
use crate::{Counters, Endpoint, GROUP, PAYLOAD, PORT};
use core::cell::Cell;
use core::net::Ipv4Addr;
use smoltcp::iface::{self, PollIngressSingleResult, SocketHandle, SocketSet, SocketStorage};
use smoltcp::phy::Device;
use smoltcp::socket::{dhcpv4, udp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, Ipv4Cidr};

/// Milliseconds between two attempts to find a DHCP server.
const DISCOVER: u64 = 2_000;
/// Frames that are taken in one call, so that a flood leaves time for the rest of the node.
const FRAMES: usize = 16;
/// Milliseconds after which the stack is looked at again at the latest: it answers a router's question for groups only when it is,
/// and does not say when that is due (RFC 2236 §3 gives the shortest answer a tenth of a second, and 10 s by default).
const LOOK: u64 = 250;

/// An address that needs no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The node's address.
    pub address: Ipv4Addr,
    /// Bits of the network's part.
    pub prefix: u8,
    /// The way out, if there is one.
    pub gateway: Option<Ipv4Addr>,
}

/// What an interface is made with.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The board's hardware address. In a group address, such as an erased memory gives, the group bit is cleared.
    pub hardware: [u8; 6],
    /// Differs from reset to reset.
    pub seed: u64,
    /// What to do without a DHCP server: this address, `patience` milliseconds after the link came up or a lease was lost.
    /// DHCP goes on meanwhile, and its address replaces this one.
    pub fixed: Fixed,
    /// See `fixed`.
    pub patience: u64,
}

/// Where the present address comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// There is none yet, or the link is down.
    #[default]
    None,
    /// A DHCP server.
    Dhcp,
    /// [`Config::fixed`].
    Fixed,
}

impl Origin {
    /// As /node says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Dhcp => "dhcp",
            Self::Fixed => "fixed",
        }
    }
}

/// All memory of an interface, in a place that outlives it.
pub struct Storage {
    sockets: [SocketStorage<'static>; 2],
    packets: [udp::PacketMetadata; 2],
    payload: [u8; PAYLOAD],
    first: [udp::PacketMetadata; 1],
    first_payload: [u8; output::FIRST],
    output: output::Storage,
}

impl Storage {
    /// Empty.
    pub const fn new() -> Self {
        Self {
            sockets: [SocketStorage::EMPTY; 2],
            packets: [udp::PacketMetadata::EMPTY; 2],
            payload: [0; PAYLOAD],
            first: [udp::PacketMetadata::EMPTY; 1],
            first_payload: [0; output::FIRST],
            output: output::Storage::new(),
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self::new()
    }
}

/// The network interface of a node.
pub struct Interface {
    config: Config,
    stack: iface::Interface,
    sockets: SocketSet<'static>,
    udp: SocketHandle,
    dhcp: SocketHandle,
    outbox: Outbox,
    counters: Cell<Counters>,
    /// When the next refusal of a DHCP server is heeded.
    refusals: Cell<u64>,
    up: bool,
    origin: Origin,
    /// When to take the fixed address.
    fixed_at: u64,
}

fn instant(now: u64) -> Instant {
    Instant::from_millis(now as i64)
}

fn stack<D: Device>(config: &Config, device: &mut D, now: u64) -> iface::Interface {
    let hardware = HardwareAddress::Ethernet(EthernetAddress(config.hardware));
    let mut settings = iface::Config::new(hardware);
    settings.random_seed = config.seed ^ now;
    iface::Interface::new(settings, device, instant(now))
}

impl Interface {
    /// An interface with its link down. The device is asked for its capabilities: checksums it does not make are made here.
    pub fn new<D: Device>(
        mut config: Config,
        device: &mut D,
        storage: &'static mut Storage,
        now: u64,
    ) -> Self {
        // smoltcp panics at an address of many (IEEE 802 §8.2.2: the lowest bit of the first byte).
        let [first, ..] = &mut config.hardware;
        *first &= !1;
        let mut sockets = SocketSet::new(&mut storage.sockets[..]);
        let received = udp::PacketBuffer::new(&mut storage.packets[..], &mut storage.payload[..]);
        // Answers go by `Outbox`; this is for what the node begins itself.
        let first = udp::PacketBuffer::new(&mut storage.first[..], &mut storage.first_payload[..]);
        let mut socket = udp::Socket::new(received, first);
        // Fails only for port 0.
        let _ = socket.bind(PORT);
        let mut dhcp = dhcpv4::Socket::new();
        let mut retries = dhcpv4::RetryConfig::default();
        retries.discover_timeout = Duration::from_millis(DISCOVER);
        retries.initial_request_timeout = Duration::from_millis(DISCOVER);
        dhcp.set_retry_config(retries);
        let checksum = device.capabilities().checksum;
        Self {
            config,
            stack: stack(&config, device, now),
            udp: sockets.add(socket),
            dhcp: sockets.add(dhcp),
            sockets,
            outbox: Outbox::new(
                EthernetAddress(config.hardware),
                checksum,
                &mut storage.output,
            ),
            counters: Cell::new(Counters::default()),
            refusals: Cell::new(0),
            up: false,
            origin: Origin::None,
            fixed_at: 0,
        }
    }

    /// Takes what the device has received, hands datagrams to CoAP's port to `receive` (from whom; whether they were sent to
    /// many; the datagram; where answers go), sends what is due, and returns when to call again at the latest. To be called
    /// also whenever the device has received, has room again, or the link has changed.
    ///
    /// Before each frame `may_take` is asked. Once it says no, frames stay in the device, or are lost there when it has no room
    /// for more: so a board bounds what a flood costs it.
    pub fn poll<D: Device>(
        &mut self,
        now: u64,
        up: bool,
        device: &mut D,
        mut may_take: impl FnMut() -> bool,
        mut receive: impl FnMut(Endpoint, bool, &[u8], &mut Output<'_, D>),
    ) -> Option<u64> {
        if up != self.up {
            self.up = up;
            self.restart(now, device);
        }
        if !up {
            // What is still in the device is from before.
            while let Some((frame, _)) = device.receive(instant(now)) {
                smoltcp::phy::RxToken::consume(frame, |_| ());
            }
            return None;
        }
        let time = instant(now);
        let mut more = None;
        for _ in 0..FRAMES {
            if !may_take() {
                more = Some(now + 1);
                break;
            }
            let taken = self.take(time, device, &mut receive);
            more = taken.then_some(now);
            if !taken {
                break;
            }
        }
        self.configure(now);
        self.begin();
        self.stack.poll_egress(time, device, &mut self.sockets);
        self.stack.poll_maintenance(time);
        let flushed = self.outbox.flush(time, device, &self.counters);
        // Not at once: a device that stays full must not keep the node from everything else.
        let flush = (!flushed).then_some(now + 1);
        let due = self.stack.poll_at(time, &self.sockets);
        let due = due.map(|at| (at.total_millis().max(0) as u64).max(now + 1));
        let fixed = (self.origin == Origin::None).then_some(self.fixed_at);
        let all = [more, flush, due, fixed, Some(now + LOOK)];
        all.into_iter().flatten().min()
    }

    /// Where to send a datagram that does not answer one just received: notifications, separate responses.
    pub fn output<'a, D: Device>(&'a mut self, now: u64, device: &'a mut D) -> Output<'a, D> {
        Output {
            outbox: &mut self.outbox,
            device,
            counters: &self.counters,
            now: instant(now),
        }
    }

    /// The one endpoint that the node may begin to talk to by itself, as a client: a datagram for it waits until its hardware
    /// address, or the router's, is known. To all others it only answers.
    pub fn seek(&mut self, endpoint: Endpoint) {
        self.outbox.sought = Some(endpoint);
    }

    /// Hands a datagram that waits for it to smoltcp's socket, which asks for the neighbour.
    fn begin(&mut self) {
        let sought = self.outbox.sought.filter(|to| is_host(to.address));
        let Some(to) = sought.filter(|_| !self.outbox.first.is_empty()) else {
            return;
        };
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.udp);
        if socket.can_send() {
            let _ = socket.send_slice(&self.outbox.first, (to.address, to.port));
        }
        self.outbox.first.clear();
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters.get()
    }

    /// The present address, and where it comes from.
    pub fn address(&self) -> (Option<Ipv4Addr>, Origin) {
        (self.outbox.address, self.origin)
    }

    /// Whether the node has joined the group "All CoAP Nodes", so that the device must let its frames through.
    pub fn has_group(&self) -> bool {
        self.stack.has_multicast_group(GROUP)
    }

    /// One frame; whether there was one.
    fn take<D: Device>(
        &mut self,
        time: Instant,
        device: &mut D,
        receive: &mut impl FnMut(Endpoint, bool, &[u8], &mut Output<'_, D>),
    ) -> bool {
        let source = Cell::new(EthernetAddress([0; 6]));
        let mut watched = Watched {
            device,
            source: &source,
            refusals: &self.refusals,
            counters: &self.counters,
        };
        let taken = self
            .stack
            .poll_ingress_single(time, &mut watched, &mut self.sockets);
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.udp);
        // Read at once, so that the frame just seen is this datagram's.
        if let Ok((datagram, about)) = socket.recv() {
            count(&self.counters, |c| &mut c.datagrams);
            let IpAddress::Ipv4(address) = about.endpoint.addr;
            let own = self.outbox.address;
            // RFC 1122 §4.1.3.6 for the address; a port of 0 cannot be answered, nor can hardware that is many.
            if !address.is_unspecified()
                && about.endpoint.port != 0
                && Some(address) != own
                && source.get().is_unicast()
            {
                self.outbox.learn(address, source.get());
                let from = Endpoint {
                    address,
                    port: about.endpoint.port,
                };
                // RFC 7252 §8: to the group; a broadcast is to many as well.
                let many = about.local_address != own.map(IpAddress::Ipv4);
                let mut output = Output {
                    outbox: &mut self.outbox,
                    device,
                    counters: &self.counters,
                    now: time,
                };
                receive(from, many, datagram, &mut output);
            }
        }
        taken != PollIngressSingleResult::None
    }

    /// From the start: the link went up or down. Addresses, neighbours and groups are of the network that was there before.
    fn restart<D: Device>(&mut self, now: u64, device: &mut D) {
        self.outbox.clear(&self.counters);
        self.origin = Origin::None;
        self.fixed_at = now + self.config.patience;
        self.stack = stack(&self.config, device, now);
        self.sockets
            .get_mut::<dhcpv4::Socket<'_>>(self.dhcp)
            .reset();
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.udp);
        while socket.recv().is_ok() {}
    }

    /// Follows the DHCP client, and takes the fixed address when it is time.
    fn configure(&mut self, now: u64) {
        let dhcp = self.sockets.get_mut::<dhcpv4::Socket<'_>>(self.dhcp);
        match dhcp.poll() {
            Some(dhcpv4::Event::Configured(lease)) => {
                let (cidr, gateway) = (lease.address, lease.router);
                self.adopt(Origin::Dhcp, cidr, gateway);
            }
            Some(dhcpv4::Event::Deconfigured) if self.origin == Origin::Dhcp => {
                self.stack.update_ip_addrs(|all| all.clear());
                self.outbox.address = None;
                self.origin = Origin::None;
                self.fixed_at = now + self.config.patience;
            }
            _ => {}
        }
        if self.origin == Origin::None && now >= self.fixed_at {
            // Once: an address that cannot be one is not tried again.
            self.fixed_at = u64::MAX;
            let fixed = self.config.fixed;
            let cidr = Ipv4Cidr::new(fixed.address, fixed.prefix.min(32));
            self.adopt(Origin::Fixed, cidr, fixed.gateway);
        }
    }

    fn adopt(&mut self, origin: Origin, cidr: Ipv4Cidr, gateway: Option<Ipv4Addr>) {
        let address = cidr.address();
        // smoltcp panics at addresses that are none. A server's have been looked at before (`admits`).
        if !is_host(address) {
            return;
        }
        self.stack.update_ip_addrs(|all| {
            all.clear();
            let _ = all.push(IpCidr::Ipv4(cidr));
        });
        let routes = self.stack.routes_mut();
        routes.remove_default_ipv4_route();
        // smoltcp panics when it looks for the neighbour that a router of no host's address would be. Some servers that know of
        // none say 0.0.0.0.
        if let Some(gateway) = gateway.filter(|g| is_host_in(&cidr, *g) && *g != address) {
            let _ = routes.add_default_ipv4_route(gateway);
        }
        self.outbox.address = Some(address);
        self.origin = origin;
        // Only now: a report of membership needs an address to come from (RFC 2236 §3).
        let _ = self.stack.join_multicast_group(GROUP);
    }
}
