//! Attacks by endpoints that lie about who they are, or take more than their share: others are served all the same. Endpoints
//! below 100 cannot lie; of the others, the tens are their host.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
mod rig;

use rig::{Msg, Rig, block, large};
use wasmote_coap::{Code, EXCHANGES, Kind, OBSERVERS, READS, TRANSFERS, option};

const GET: Code = Code::GET;
const PUT: Code = Code::PUT;
const POST: Code = Code::POST;

fn observe(id: u16, path: &str) -> Msg {
    Msg::new(GET, id, path).with(option::OBSERVE, [])
}

fn part(id: u16, number: u32, more: bool) -> Msg {
    Msg::new(PUT, id, "upload")
        .with(option::URI_QUERY, format!("n={id}"))
        .with(option::BLOCK1, block(number, more, 64))
        .body([number as u8; 64])
}

/// Shows that an endpoint is where it says.
fn show(rig: &mut Rig, peer: u8) {
    let refused = rig.ask(peer, &Msg::new(GET, 0xfff0, "large"));
    let echo = refused.option(option::ECHO).expect("a challenge").to_vec();
    let again = Msg::new(GET, 0xfff1, "large").with(option::ECHO, echo);
    assert_eq!(rig.ask(peer, &again).option(option::ECHO), None);
}

/// Asks again with what is to be echoed, as a client does (RFC 9175 §2.3).
fn insist(rig: &mut Rig, peer: u8, message: &Msg) -> Msg {
    let refused = rig.ask(peer, message);
    assert_eq!(refused.code, Code::UNAUTHORIZED, "{refused:?}");
    let mut again = message.clone();
    again.id += 1_000;
    again = again.with(option::ECHO, refused.option(option::ECHO).unwrap());
    rig.ask(peer, &again)
}

// ---- uploads ----------------------------------------------------------------------------------------------------------

#[test]
fn blocks_of_a_body_that_a_method_does_not_have_are_no_upload() {
    let mut rig = Rig::new();
    for id in 0..20 {
        for (code, path) in [(GET, "value"), (Code::DELETE, "count")] {
            let message = Msg::new(code, id, path)
                .with(option::BLOCK1, block(0, true, 16))
                .body([0; 16]);
            let answer = rig.ask(100 + id as u8, &message);
            assert_eq!(
                (answer.code.class(), answer.option(option::BLOCK1)),
                (2, None)
            );
        }
    }
    assert_eq!(rig.server.transfers(), 0);
    // One that has a body takes it in one block without a place among the uploads.
    let whole = Msg::new(PUT, 50, "value")
        .with(option::BLOCK1, block(0, false, 16))
        .body("7");
    let answer = rig.ask(1, &whole);
    assert_eq!(answer.code, Code::CHANGED);
    assert_eq!(answer.block(option::BLOCK1), Some((0, false, 16)));
    // RFC 7959 §2.2: no longer than its block.
    let long = Msg::new(PUT, 51, "value")
        .with(option::BLOCK1, block(0, false, 16))
        .body([b'1'; 17]);
    assert_eq!(rig.ask(1, &long).code, Code::BAD_REQUEST);
    rig.check_counters();
}

#[test]
fn a_body_in_one_block_is_held_to_the_rate_of_changes_like_any_other() {
    let mut rig = Rig::new();
    let mut changed = 0;
    for id in 0..400 {
        let put = Msg::new(PUT, id, "value")
            .with(option::BLOCK1, block(0, false, 16))
            .body("7");
        changed += usize::from(rig.ask(1, &put).code == Code::CHANGED);
    }
    assert_eq!(changed, EXCHANGES * 2 / 3);
}

#[test]
fn uploads_that_begin_again_and_again_are_held_to_the_rate_of_changes() {
    let mut rig = Rig::new();
    let mut begun = 0;
    for id in 0..400 {
        let begin = Msg::new(PUT, id, "upload")
            .with(option::BLOCK1, block(0, true, 16))
            .body([0; 16]);
        begun += usize::from(rig.ask(1, &begin).code == Code::CONTINUE);
    }
    assert_eq!(begun, EXCHANGES * 2 / 3);
    // One that goes on takes the place of its last part, however many it has.
    let mut rig = Rig::new();
    for number in 0..300 {
        let part = Msg::new(PUT, number as u16, "upload")
            .with(option::BLOCK1, block(number, true, 16))
            .body([0; 16]);
        assert_eq!(rig.ask(1, &part).code, Code::CONTINUE);
    }
}

#[test]
fn forged_uploads_give_way_to_who_shows_itself() {
    let mut rig = Rig::new();
    let flood = |rig: &mut Rig, id| {
        for peer in 110..=200 {
            rig.ask(peer, &part(id, 0, true));
        }
    };
    flood(&mut rig, 1);
    assert_eq!(rig.server.transfers(), TRANSFERS);
    // A stranger finds no place, but what it is to echo.
    assert_eq!(
        insist(&mut rig, 250, &part(2, 0, true)).code,
        Code::CONTINUE
    );
    for number in 1..4 {
        flood(&mut rig, 10 + number);
        let id = 2 + 1_000;
        let mut next = part(id, number.into(), number < 3);
        next.options[1].1 = b"n=2".to_vec();
        next.id += number;
        let answer = rig.ask(250, &next);
        assert_eq!(answer.code.class(), 2, "part {number}: {answer:?}");
    }
    assert_eq!(rig.app.uploads["2"].len(), 256);
    // So does one who cannot lie; and strangers that are silent give way to strangers.
    assert_eq!(rig.ask(1, &part(30, 0, true)).code, Code::CONTINUE);
    rig.now += 10_000;
    assert_eq!(rig.ask(249, &part(31, 0, true)).code, Code::CONTINUE);
    assert!(rig.server.counters().displaced >= 2);
    rig.check_counters();
}

#[test]
fn one_that_has_all_uploads_leaves_others_their_share() {
    let mut rig = Rig::new();
    for id in 0..TRANSFERS as u16 {
        assert_eq!(rig.ask(1, &part(id, 0, true)).code, Code::CONTINUE);
    }
    let full = rig.ask(1, &part(20, 0, true));
    assert_eq!(full.code, Code::SERVICE_UNAVAILABLE);
    for peer in [2, 3] {
        assert_eq!(rig.ask(peer, &part(21, 0, true)).code, Code::CONTINUE);
    }
    // The oldest of the first one gave way.
    let gone = part(0, 1, false);
    let mut gone = gone.clone();
    gone.id = 90;
    assert_eq!(rig.ask(1, &gone).code, Code::REQUEST_ENTITY_INCOMPLETE);
}

// ---- changes ----------------------------------------------------------------------------------------------------------

#[test]
fn changes_of_one_endpoint_do_not_use_up_those_of_another() {
    let mut rig = Rig::new();
    // Two and a half a second, for minutes; the other makes one in ten seconds, at the same host.
    let mut refused = 0;
    for step in 0..600u16 {
        rig.now += 400;
        let put = |id| Msg::new(PUT, id, "value").body("1");
        refused += usize::from(rig.ask(110, &put(step)).code != Code::CHANGED);
        if step % 25 == 0 {
            assert_eq!(rig.ask(111, &put(step)).code, Code::CHANGED, "{step}");
        }
    }
    assert!(refused > 100, "it was not held back: {refused}");
    rig.check_counters();
}

#[test]
fn changes_of_forged_endpoints_leave_room_for_who_shows_itself() {
    let mut rig = Rig::new();
    let put = |id| Msg::new(PUT, id, "value").body("1");
    for id in 0..5 {
        for peer in 110..=200 {
            rig.ask(peer, &put(id));
        }
    }
    assert_eq!(insist(&mut rig, 250, &put(10)).code, Code::CHANGED);
    assert_eq!(rig.ask(1, &put(10)).code, Code::CHANGED);
    // Each was carried out once, whatever is repeated.
    rig.ask(1, &put(10));
    assert_eq!(rig.server.counters().duplicates, 1);
}

#[test]
fn slow_requests_of_strangers_do_not_hold_all_places() {
    let mut rig = Rig::new();
    for id in 0..4 {
        for peer in 110..=200 {
            rig.send(peer, &Msg::new(GET, id, "slow"));
        }
    }
    assert!(rig.send(1, &Msg::new(GET, 1, "slow")).is_empty());
    let sent = rig.wait(1, 4_000);
    assert_eq!(sent.last().unwrap().1.code, Code::CONTENT);
}

// ---- observers --------------------------------------------------------------------------------------------------------

#[test]
fn sixteen_observations_of_one_endpoint_leave_others_their_share() {
    // Of one at another host, and of one at the same.
    for (crowd, other) in [(110, 250), (110, 111), (1, 2), (1, 250)] {
        let mut rig = Rig::new();
        for id in 0..OBSERVERS as u16 {
            let answer = rig.ask(crowd, &observe(id, "value"));
            assert!(answer.option(option::OBSERVE).is_some());
        }
        for id in 0..2 {
            let answer = rig.ask(other, &observe(id, "value"));
            assert!(
                answer.option(option::OBSERVE).is_some(),
                "{other} by {crowd}"
            );
        }
        assert_eq!(rig.server.observers(), OBSERVERS);
        assert_eq!(rig.server.counters().displaced, 2);
    }
}

#[test]
fn sixteen_ports_of_one_host_leave_another_host_its_share() {
    let mut rig = Rig::new();
    for peer in 110..120 {
        show(&mut rig, peer);
    }
    for number in 0..OBSERVERS as u8 {
        rig.ask(110 + number % 10, &observe(number.into(), "value"));
    }
    assert_eq!(rig.server.observers(), OBSERVERS);
    let answer = rig.ask(250, &observe(1, "value"));
    assert!(answer.option(option::OBSERVE).is_some());
}

#[test]
fn forged_observers_give_way_and_cost_their_victims_little() {
    let mut rig = Rig::new();
    rig.server.hosts(|peer| u64::from(*peer));
    // A gateway that is there: it acknowledges.
    rig.ask(1, &observe(1, "value"));
    for peer in 110..=200 {
        rig.ask(peer, &observe(1, "value"));
    }
    // A stranger finds no place at first, and is told how to get one at once ...
    let refused = rig.ask(250, &observe(1, "value"));
    assert_eq!(refused.option(option::OBSERVE), None);
    let echo = refused.option(option::ECHO).unwrap().to_vec();
    let again = observe(2, "value").with(option::ECHO, echo);
    assert!(rig.ask(250, &again).option(option::OBSERVE).is_some());
    // ... and one that knows nothing of Echo gets one when those that were asked have not answered.
    assert_eq!(
        rig.ask(251, &observe(1, "value")).option(option::OBSERVE),
        None
    );
    let mut to_victim = 0;
    for _ in 0..40 {
        rig.now += 100;
        to_victim += rig.wait(110, 0).len();
    }
    assert!(
        rig.ask(251, &observe(2, "value"))
            .option(option::OBSERVE)
            .is_some()
    );
    to_victim += rig.wait(110, 200_000).len();
    assert!(to_victim <= 5, "{to_victim}");
    // The gateway has not been pushed out.
    let told = rig.change(1);
    assert_eq!(told.len(), 1);
}

#[test]
fn dead_observers_of_a_quiet_resource_go_within_minutes_and_at_once_when_asked() {
    // On a serial line, where only one client can be: it began anew, and knows none of its old tokens.
    let mut rig = Rig::new();
    for id in 0..OBSERVERS as u16 {
        rig.ask(
            1,
            &observe(id, "value").with(option::URI_QUERY, format!("{id}")),
        );
    }
    // The same again takes the place of what it was.
    let again = observe(100, "value").with(option::URI_QUERY, "3");
    assert!(rig.ask(1, &again).option(option::OBSERVE).is_some());
    assert_eq!(rig.server.observers(), OBSERVERS);
    // Another finds none, but not one that was heard of a moment ago is asked.
    let other = |id| observe(id, "state");
    assert_eq!(rig.send(1, &other(101)).len(), 1);
    assert_eq!(rig.server.counters().unobserved, 1);
    // Later all are; the client rejects what it does not know.
    rig.now += 30_000;
    let sent = rig.send(1, &other(102));
    let (answers, probes): (Vec<_>, Vec<_>) = sent.iter().partition(|m| m.kind == Kind::Ack);
    assert_eq!((answers.len(), probes.len()), (1, OBSERVERS));
    assert_eq!(answers[0].option(option::OBSERVE), None);
    for probe in &probes {
        assert_eq!(probe.kind, Kind::Con);
        let kind = if probe.token == [0, 100] {
            Kind::Ack
        } else {
            Kind::Rst
        };
        rig.send(1, &Msg::empty(kind, probe.id));
    }
    assert_eq!(rig.server.observers(), 1);
    assert!(rig.ask(1, &other(103)).option(option::OBSERVE).is_some());

    // Those that say nothing at all go by themselves, two minutes and the retransmissions later.
    let mut rig = Rig::new();
    for id in 0..OBSERVERS as u16 {
        rig.ask(1, &observe(id, "value"));
    }
    rig.wait(1, 119_000);
    assert_eq!(rig.server.observers(), OBSERVERS);
    rig.wait(1, 100_000);
    assert_eq!(rig.server.observers(), 0);
    // When few places are taken there is no hurry.
    for id in 0..OBSERVERS as u16 / 2 {
        rig.ask(1, &observe(id, "value"));
    }
    assert!(rig.wait(1, 3_500_000).is_empty());
    rig.check_counters();
}

#[test]
fn a_known_observer_that_does_not_acknowledge_gives_way_after_two_attempts() {
    let mut rig = Rig::new();
    for id in 0..OBSERVERS as u16 {
        rig.ask(1, &observe(id, "state"));
    }
    rig.change(1);
    let more = |rig: &mut Rig, id| {
        rig.ask(1, &observe(id, "value"))
            .option(option::OBSERVE)
            .is_some()
    };
    rig.wait(1, 3_100);
    assert!(!more(&mut rig, 50));
    rig.wait(1, 6_200);
    assert!(more(&mut rig, 51));
    assert_eq!(rig.server.observers(), OBSERVERS);
}

#[test]
fn an_observer_registers_again_after_every_end() {
    // Its message ID of the registration is not ours: a notification that happens to have it is a new one.
    let mut rig = Rig::new();
    let mut ids = vec![];
    for id in 0..3_000 {
        rig.now += 20_000;
        let first = rig.ask(1, &observe(id, "value").token(b"t"));
        let told = rig.change(1).remove(0);
        assert!(told.uint(option::OBSERVE) > first.uint(option::OBSERVE));
        rig.send(1, &Msg::empty(Kind::Ack, told.id));
        ids.push(told.id);
    }
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
}

// ---- what answers cost ------------------------------------------------------------------------------------------------

#[test]
fn a_group_gets_three_times_what_was_asked_and_no_allowance() {
    let mut rig = Rig::new();
    let core = Msg::new(GET, 1, "large").non();
    let mut got = 0;
    let mut asked = 0;
    for id in 0..20 {
        let mut message = core.clone();
        message.id = id;
        asked += message.bytes().len() + 28;
        rig.datagram(200, true, &message.bytes());
        let sent = rig.wait(200, 6_000);
        got += sent
            .iter()
            .map(|(_, m)| m.bytes().len() + 28)
            .sum::<usize>();
    }
    assert!(got <= 3 * asked, "{got} for {asked}");
    // The allowance is there for who asks this node alone.
    assert_eq!(
        rig.ask(200, &Msg::new(GET, 100, "large")).payload.len(),
        1_024
    );
    // Who has shown itself gets all.
    show(&mut rig, 201);
    rig.datagram(201, true, &core.bytes());
    assert_eq!(rig.wait(201, 6_000)[0].1.payload.len(), 1_024);
}

#[test]
fn a_flood_to_the_group_leaves_others_a_place() {
    let mut rig = Rig::new();
    let ask = |id| Msg::new(GET, id, "value").non();
    // One endpoint with both places, and strangers with both.
    for id in 0..2 {
        rig.datagram(110, true, &ask(id).bytes());
    }
    rig.datagram(250, true, &ask(9).bytes());
    assert_eq!(rig.wait(250, 6_000).len(), 1);
    for peer in [120, 130] {
        rig.datagram(peer, true, &ask(3).bytes());
    }
    rig.datagram(1, true, &ask(4).bytes());
    assert_eq!(rig.wait(1, 6_000).len(), 1);
    assert_eq!(rig.server.counters().displaced, 2);
    rig.check_counters();
}

#[test]
fn one_stranger_does_not_use_up_the_allowance_of_all() {
    let mut rig = Rig::new();
    for id in 0..20 {
        rig.ask(110, &Msg::new(GET, id, "large"));
    }
    assert!(rig.ask(110, &Msg::new(GET, 30, "large")).payload.len() < 200);
    // Of ten others, those that share its lane by chance are few.
    let whole = (120..130).filter(|peer| {
        let answer = rig.ask(*peer, &Msg::new(GET, 1, "large"));
        answer.payload.len() == 1_024
    });
    assert!(whole.count() >= 4);
}

// ---- what nobody may guess --------------------------------------------------------------------------------------------

#[test]
fn what_is_echoed_differs_by_endpoint_time_and_boot_and_is_no_generators_state() {
    let echo = |rig: &mut Rig, peer| {
        let answer = rig.ask(peer, &Msg::new(GET, 1, "large"));
        let value = answer.option(option::ECHO).unwrap();
        u64::from_be_bytes(value.try_into().unwrap())
    };
    let mut rig = Rig::new();
    let mine = [echo(&mut rig, 150), echo(&mut rig, 151)];
    // The same until the time has gone by, whoever asks in between: there is no state that would move on.
    assert_eq!([echo(&mut rig, 150), echo(&mut rig, 151)], mine);
    let victim = echo(&mut rig, 152);
    // What two values of the old generator (xorshift64*) gave away: the high halves of consecutive outputs.
    let step = |state: u64| {
        let mut s = state;
        s ^= s >> 12;
        s ^= s << 25;
        s ^ s >> 27
    };
    let output = |state: u64| state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
    assert_ne!(output(step(mine[0])), mine[1] >> 32);
    for value in [mine[0], mine[1], mine[0] ^ mine[1], mine[0].wrapping_add(1)] {
        assert_ne!(value, victim);
        let forged = Msg::new(GET, 2, "large").with(option::ECHO, value.to_be_bytes());
        assert!(
            rig.ask(152, &forged).option(option::ECHO).is_some(),
            "not believed"
        );
    }
    rig.now += 300_000;
    assert_ne!(echo(&mut rig, 150), mine[0]);
    let mut other = Rig::seeded(8);
    assert_ne!(echo(&mut other, 150), mine[0]);
}

#[test]
fn entity_tags_and_message_ids_differ_from_boot_to_boot() {
    let tags: Vec<_> = (0..20)
        .map(|seed| {
            let mut rig = Rig::seeded(seed << 64);
            let answer = rig.ask(1, &Msg::new(GET, 1, "value").non());
            (answer.id, answer.option(option::ETAG).unwrap().to_vec())
        })
        .collect();
    for (index, (id, tag)) in tags.iter().enumerate() {
        let rest = &tags[index + 1..];
        assert!(rest.iter().all(|(i, t)| (i, t) != (id, tag) && t != tag));
    }
}

// ---- reads in blocks --------------------------------------------------------------------------------------------------

#[test]
fn the_blocks_of_a_read_have_one_number_and_reads_are_told_from_each_other() {
    let mut rig = Rig::new();
    let get =
        |id, number| Msg::new(GET, id, "large").with(option::BLOCK2, block(number, false, 64));
    let mut body = vec![vec![]; 5];
    for number in 0..20 {
        for peer in 1..=4u8 {
            rig.app.reads.clear();
            let answer = rig.ask(peer, &get(number as u16, number));
            body[usize::from(peer)].extend(answer.payload);
            let read = rig.app.reads[0].unwrap();
            assert_eq!((read.number, read.begins), (peer - 1, number == 0));
            let open = if number == 0 {
                (1 << (peer - 1)) - 1
            } else {
                0b1111
            };
            let over = if number == 19 {
                open & !((1 << (peer - 1)) - 1)
            } else {
                open
            };
            assert_eq!(read.open, over, "block {number} of {peer}");
        }
    }
    assert!(body[1..].iter().all(|b| *b == large(0)));
    // A read in one block takes no number from anybody, nor one of something that changes, nor a notification.
    rig.app.reads.clear();
    rig.ask(9, &Msg::new(GET, 1, "value"));
    rig.ask(9, &Msg::new(POST, 2, "count"));
    rig.ask(9, &observe(3, "value"));
    rig.change(9);
    let reads: Vec<_> = rig.app.reads.iter().map(|r| r.map(|r| r.open)).collect();
    assert_eq!(reads, [Some(0), None, Some(0), None]);
}

#[test]
fn reads_that_nobody_goes_on_with_give_way_and_one_alone_does_not_have_them_all() {
    let mut rig = Rig::new();
    let begin = |id: u16| {
        Msg::new(GET, id, "large")
            .with(option::URI_QUERY, format!("{id}"))
            .with(option::BLOCK2, block(0, false, 64))
    };
    for id in 0..READS as u16 {
        rig.ask(1, &begin(id));
    }
    let number = |rig: &mut Rig, peer, message: &Msg| {
        rig.app.reads.clear();
        rig.ask(peer, message);
        rig.app.reads[0].map(|r| r.number)
    };
    assert_eq!(number(&mut rig, 1, &begin(50)), None);
    assert_eq!(number(&mut rig, 2, &begin(51)), Some(0));
    rig.now += 20_000;
    assert_eq!(number(&mut rig, 3, &begin(52)), Some(0));
    // Begun anew it is the same read in another place, and the old one is gone.
    let again = number(&mut rig, 3, &begin(52)).unwrap();
    let mut next = begin(52);
    next.options[2].1 = block(1, false, 64);
    assert_eq!(number(&mut rig, 3, &next), Some(again));
}
