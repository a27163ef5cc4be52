//! Every limit of the server, each with the reason for its value. All storage follows from these.

/// The largest datagram that is taken or made: a block of 1024 bytes and what stands before it (RFC 7252 §4.6). It goes
/// through Ethernet and 6LoWPAN alike without IP fragments of more than the minimum MTU.
pub const MTU: usize = HEAD + BLOCK;
/// The largest block (RFC 7959 §2.2: SZX 6).
pub const BLOCK: usize = 1024;
/// Bytes before the payload of an answer: header, token and all options a response of ours can have.
pub(crate) const HEAD: usize = 128;

/// Observers at once: sixteen gateways, dashboards or people per node. One more is answered without being registered, as
/// RFC 7641 §4.1 lets a server do, and counted.
pub const OBSERVERS: usize = 16;
/// Block-wise uploads at once: a node is updated by one client and configured by a few; one more is answered 5.03.
pub const TRANSFERS: usize = 8;
/// Requests that changed something and are remembered with their answers. With places given up after `MAX_TRANSMIT_SPAN`
/// that is two changes a second for ever, and bursts of 96. Reads are answered anew instead (RFC 7252 §4.5).
pub const EXCHANGES: usize = 96;
/// Bytes of the answers to them: a hundred of the usual size. The newest are kept whole; an older one repeats by its code.
/// A power of two, so that its count may begin anew.
pub(crate) const ANSWERS: usize = 2_048;
/// Responses that come later, at once: pending, or sent and not acknowledged.
pub(crate) const SEPARATE: usize = 6;
/// Multicast requests waiting for their leisure: discovery by two people in the same five seconds.
pub(crate) const DELAYED: usize = 2;
/// Bytes of such a request: `/.well-known/core` with two filters.
pub(crate) const DELAYED_BYTES: usize = 128;
/// Endpoints that have shown that they are where they say (RFC 9175 §2.4): as many as observe. One that was forgotten gets small
/// blocks until it shows itself again.
pub(crate) const PEERS: usize = 16;
/// A value to be echoed is known for one to two of these, in milliseconds: long enough for a client that retransmits, short
/// enough that one which was overheard is soon worth nothing.
pub(crate) const ECHO_PERIOD: u64 = 131_072;
/// Block-wise reads under way that are told from each other: at most sixteen, for they are bits of a number. The blocks of one
/// more are of whatever state there is.
pub const READS: usize = 16;
/// A read that nobody continued for so long, in milliseconds, gives way to another.
pub(crate) const READ_IDLE: u64 = 20_000;
/// Lanes that endpoints are put in by a keyed function: see `lanes.rs`.
pub(crate) const LANES: usize = 16;
/// Message IDs from 0 on that go to endpoints which have not shown themselves: 57 a second and lane, after 2,048 at once. The
/// rest is for those that have, and for observers that acknowledge: 173 a second, after 6,144 at once.
pub(crate) const STRANGER_IDS: u16 = 0x4000;
/// Message IDs of a lane that are left for separate responses when notifications have used up the rest.
pub(crate) const SPARE_IDS: u16 = 64;
/// A transfer of an endpoint that has not shown itself gives way after so many milliseconds without a further part.
pub(crate) const STRANGER_IDLE: u64 = 10_000;
/// Bytes kept of an observation: its path, query, formats, and the payload of a FETCH. A longer one is not registered.
pub(crate) const OBSERVATION: usize = 72;
/// Bytes of a separate response, and its largest block.
pub(crate) const KEPT: usize = 320;
pub(crate) const KEPT_BLOCK: usize = 256;
/// Message IDs of the parts of an upload that are known again when they come late: a duplicate overtaken by more round
/// trips than this is taken for a part out of order and answered 4.08.
pub(crate) const PARTS: usize = 8;

/// Transmission parameters (RFC 7252 §4.8), in milliseconds.
pub(crate) const ACK_TIMEOUT: u64 = 2_000;
pub(crate) const MAX_RETRANSMIT: u8 = 4;
pub(crate) const EXCHANGE_LIFETIME: u64 = 247_000;
pub(crate) const NON_LIFETIME: u64 = 145_000;
/// Until then a client that got no answer may still repeat its request; a full table gives up older exchanges.
pub(crate) const MAX_TRANSMIT_SPAN: u64 = 45_000;
/// When a client has given up for sure: a full table gives up uploads that nobody continued for longer.
pub(crate) const MAX_TRANSMIT_WAIT: u64 = 93_000;
/// A response later than this is acknowledged first: well below a client's ACK_TIMEOUT (RFC 7252 §5.2.2).
pub(crate) const PROCESSING_DELAY: u64 = 800;
/// RFC 7252 §8.2.
pub(crate) const DEFAULT_LEISURE: u32 = 5_000;
/// A client that found a table full may try again after so many seconds: a round trip or two later places are free.
pub(crate) const RETRY: u32 = 2;

/// RFC 7641 §4.5: a confirmable notification at least every 24 hours; here once an hour, so that who has gone is found out ...
pub(crate) const CONFIRM_EVERY: u64 = 3_600_000;
/// ... and much more often when more than half of the places are taken ...
pub(crate) const CONFIRM_EVERY_WHEN_CROWDED: u64 = 120_000;
/// ... or at once when somebody found no place, but not if it acknowledged something in the last so many milliseconds. One that
/// never has is asked after that time when places are few.
pub(crate) const HEARD: u64 = 30_000;
/// Non-confirmable notifications between two confirmable ones, to a client that has acknowledged one before (RFC 7641 §7).
pub(crate) const UNCONFIRMED: u8 = 64;
/// The same for one that never has: what a forged registration costs its victim is this and the retransmissions of one.
pub(crate) const UNCONFIRMED_AT_FIRST: u8 = 3;
/// A change after so many milliseconds without one is confirmed, and so is the last of a row that was not: then it has been
/// heard of, whatever was lost (RFC 7641 §4.5). Faster changes follow each other unconfirmed.
pub(crate) const QUIET: u64 = 10_000;
/// Notifications that may follow each other at once; on average there is one a round trip (RFC 7641 §4.5.1).
pub(crate) const BURST: u64 = 8;
/// The round trip of a client that was not measured yet, in milliseconds (RFC 7641 §4.5.1).
pub(crate) const ROUND_TRIP: u64 = 3_000;

/// By how much an answer to a peer that has not shown itself may exceed its request, as QUIC has it (RFC 9000 §8.1; RFC
/// 9175 §2.4 leaves the figure open) ...
pub(crate) const AMPLIFICATION: usize = 3;
/// ... counted with the IP and UDP headers that both carry.
pub(crate) const HEADERS: usize = 28;
/// The answer to a request that changes something may have so many bytes in any case, for the rest of one cannot always be
/// asked for. Their rate is limited by the table of exchanges.
pub(crate) const UNSAFE_ANSWER: usize = KEPT;
/// Bytes beyond that which all endpoints that have not shown themselves get in a second, and at once: a few people reading
/// documents with clients that know nothing of Echo do not notice, and it is not worth an attacker's while ...
pub(crate) const GIVEN_A_SECOND: u16 = 1_024;
pub(crate) const GIVEN_AT_ONCE: u16 = 8_192;
/// ... of which those in one lane have a quarter at most.
pub(crate) const LANE_GIVEN_A_SECOND: u16 = 256;
pub(crate) const LANE_GIVEN_AT_ONCE: u16 = 2_048;
/// Room behind the largest block for what a security stage adds, the tag of an AEAD.
pub(crate) const TAG: usize = 16;
